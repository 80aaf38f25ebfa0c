import { Fault, type FaultCode, MisuseError, StoreError } from './errors.js'
import type { TokenStore } from './store.js'

const METHODS = ['create', 'find', 'rotate', 'revoke', 'list', 'purge', 'remember'] as const

export interface GuardOptions {
  /** Null waits for as long as the driver does. */
  readonly timeoutMs: number | null
  readonly onFault: (code: FaultCode, operation: string) => void
}

/**
 * The same store, with bounded waiting and one kind of error: every call resolves, or rejects with `StoreError` and the
 * driver's error as its cause. A call that timed out may still have written; core's retries are made for that.
 */
export function guardStore(store: TokenStore, { timeoutMs, onFault }: GuardOptions): TokenStore {
  for (const method of METHODS) {
    if (typeof (store as Partial<TokenStore> | null)?.[method] !== 'function')
      throw new MisuseError('store', `has no method ${method}(); pass what a store package returns, not a driver or a URL`)
  }

  async function call<Answer>(method: (typeof METHODS)[number], run: () => Promise<Answer>): Promise<Answer> {
    const operation = `store.${method}`
    try {
      return await within(timeoutMs, operation, run)
    } catch (cause) {
      const fault = cause instanceof Fault ? cause : new StoreError('store_failed', `${operation} failed`, { cause })
      onFault(fault.code, operation)
      throw fault
    }
  }

  return {
    create: (record, now) => call('create', () => store.create(record, now)),
    find: (id) => call('find', () => store.find(id)),
    rotate: (command) => call('rotate', () => store.rotate(command)),
    revoke: (id, revocation) => call('revoke', () => store.revoke(id, revocation)),
    list: (query) => call('list', () => store.list(query)),
    purge: (now, limit) => call('purge', () => store.purge(now, limit)),
    remember: (key, expiresAt, now) => call('remember', () => store.remember(key, expiresAt, now)),
  }
}

async function within<Answer>(
  timeoutMs: number | null,
  operation: string,
  run: () => Promise<Answer>,
): Promise<Answer> {
  if (timeoutMs === null) return run()
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new StoreError('store_timeout', `${operation} did not answer within ${String(timeoutMs)} ms`))
    }, timeoutMs)
  })
  try {
    return await Promise.race([run(), timeout])
  } finally {
    clearTimeout(timer)
  }
}
