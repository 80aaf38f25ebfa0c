import { StoreError } from '../model/errors.js'
import { type Family, toFamily } from '../model/family.js'
import { grantOptions, type IssueRequest } from '../model/grant.js'
import { isSameText } from '../model/same-text.js'
import { createFirstToken, createRandomSeed } from '../token/derive.js'
import { formatToken } from '../token/format.js'
import { type Context, toEventFields } from './context.js'
import { createFamily } from './create-family.js'

export interface Issued {
  /** Secret: send it to the client and keep no copy. */
  readonly refreshToken: string
  readonly family: Family
}

/** Creates a family and its first token. */
export async function issue(context: Context, request: IssueRequest): Promise<Issued> {
  const grant = grantOptions.parse('issue', request)
  const { store, ring, tokenPrefix, emit } = context
  const now = context.now()
  const seed = createRandomSeed(context.random)
  const record = createFamily(context, { grant, seed, now, createdAt: now, keepUntil: now })
  const stored = await store.create(record, now)
  if (!isSameText(stored.current.verifier, record.current.verifier)) {
    emit({ type: 'fault', at: now, code: 'store_broken', operation: 'store.create' })
    throw new StoreError('store_broken', 'store.create returned another family than the one it was given')
  }
  const family = toFamily(stored)
  emit({ type: 'issued', at: now, ...toEventFields(stored), offline: family.offline })
  return { refreshToken: formatToken(createFirstToken(seed, record.grant), tokenPrefix, ring.current), family }
}
