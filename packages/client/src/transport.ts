import { type Answer, type RawAnswer, readAnswer } from './answer.js'
import type { Call, Endpoints } from './endpoints.js'
import type { Environment } from './environment.js'
import { KeyLostError } from './errors.js'
import { unlessAborted } from './lock.js'
import type { Proofs } from './proofs.js'
import { isObject, parseJson, type PendingRevocation } from './record.js'
import type { RefreshRequest } from './refresh-state.js'
import { deadline } from './timing.js'

/** An answer, and the clocks from before its request was sent. */
interface Answered {
  readonly answer: Answer
  /** Epoch milliseconds. */
  readonly sentAt: number
  /** Of the clock that never goes back. */
  readonly sentElapsed: number
}

/** Talks to the server of the session. Never rejects: what goes wrong is an answer that says "later". */
export interface Transport {
  refresh(request: RefreshRequest): Promise<Answered>
  exchange(form: Readonly<Record<string, string>>): Promise<Answered>
  /** `done` also where the server never knew the token; `failed` where asking again will not help. */
  revoke(revocation: PendingRevocation): Promise<'done' | 'later' | 'failed'>
}

export interface TransportOptions {
  readonly environment: Environment
  readonly endpoints: Endpoints
  readonly proofs: Proofs | null
  readonly timeoutMs: number
}

interface Sending {
  /** Whether its tokens are bound to a key already; null for a request without a proof. */
  readonly isBound: boolean | null
  /** True for a request that outlives its page. */
  readonly keepalive?: boolean
}

export function createTransport({ environment, endpoints, proofs, timeoutMs }: TransportOptions): Transport {
  const tokenType = proofs === null ? 'bearer' : 'dpop'

  async function ask(call: Call, sending: Sending, signal: AbortSignal): Promise<RawAnswer> {
    const { isBound, keepalive = false } = sending
    const { url, headers, body, credentials } = call
    const proof =
      proofs === null || isBound === null
        ? {}
        : { dpop: await proofs.prove({ method: 'POST', url, accessToken: null, isBound }) }
    const response = await environment.fetch(url, {
      method: 'POST',
      headers: { ...headers, ...proof },
      body,
      signal,
      keepalive,
      // Whoever answers with another place must not get what was meant for this one.
      redirect: 'manual',
      // There are no cookies outside of browsers, and some runtimes do not know the option.
      ...(environment.origin === null ? {} : { credentials }),
    })
    const nonce = response.headers.get('dpop-nonce')
    if (nonce !== null) proofs?.remember(url, nonce)
    // A redirect that was not followed has no status in browsers.
    const status = response.type === 'opaqueredirect' ? 302 : response.status
    return { status, retryAfter: response.headers.get('retry-after'), body: await response.text() }
  }

  /** Rejects where no answer came. */
  async function send(call: Call, sending: Sending): Promise<RawAnswer> {
    const { signal, cancel } = deadline(environment, timeoutMs)
    const asked = async () => {
      const raw = await ask(call, sending, signal)
      return proofs !== null && demandsNonce(raw) ? ask(call, sending, signal) : raw
    }
    try {
      return await unlessAborted(asked(), signal)
    } finally {
      cancel()
    }
  }

  async function answerTo(call: Call, isBound: boolean): Promise<Answered> {
    const sent = { sentAt: environment.now(), sentElapsed: environment.elapsed() }
    const answer = await send(call, { isBound }).then(
      (raw) => readAnswer(raw, { tokenType, now: environment.now() }),
      (error: unknown): Answer =>
        error instanceof KeyLostError
          ? { kind: 'key_lost' }
          : { kind: 'later', retryAfterMs: null, cause: 'no answer' },
    )
    return { answer, ...sent }
  }

  return {
    refresh: (request) => answerTo(endpoints.refresh(request), request.sid !== null),
    exchange: (form) => answerTo(endpoints.exchange(form), false),
    async revoke(revocation) {
      const call = endpoints.revoke(revocation)
      if (call === null) return 'failed'
      // No server asks for a proof here, and a lost key must not keep anybody signed in.
      const raw = await send(call, { isBound: null, keepalive: true }).catch(() => null)
      if (raw === null) return 'later'
      if (raw.status >= 200 && raw.status < 300) return 'done'
      const { kind } = readAnswer(raw, { tokenType, now: environment.now() })
      // The cookie is of another session by now, and the one that it replaced has ended with that.
      if (kind === 'other_session') return 'done'
      return kind === 'later' ? 'later' : 'failed'
    },
  }
}

function demandsNonce({ body }: RawAnswer): boolean {
  const members = parseJson(body)
  return isObject(members) && members['error'] === 'use_dpop_nonce'
}
