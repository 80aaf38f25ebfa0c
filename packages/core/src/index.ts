export { createRefreshTokens, type RefreshTokens, type RefreshTokensOptions } from './refresh-tokens.js'
export type { BeforeRotate, BeforeRotateContext, BeforeRotateVerdict } from './engine.js'
export { FIRST_PARTY, type Issued, type IssueRequest } from './issue.js'
export type { ForeignGrant, ForeignTokens, TokenOrigin } from './foreign.js'
export type { Grant } from './app.js'
export type { RedeemOutcome, RedeemRequest } from './redeem.js'
export {
  createSecondHolderDetector,
  type SecondHolderDetectorOptions,
  type SecondHolderSuspicion,
} from './second-holder.js'
export type { Reservation, ReserveRequest } from './reserve.js'
export type { Refused, RotateOutcome, RotateRequest, TokenHolder } from './rotate.js'
export type { RevokeOutcome, RevokeRequest, RevokeSubjectOptions } from './revoke.js'
export type { OnceRequest } from './once.js'
export type { Inspection } from './inspect.js'
export type { AttemptMatch, MintOutcome, Objection, RefusalReason } from './decide.js'
export type { RefreshEvent } from './events.js'
export { describeToken, type TokenDescription } from './describe-token.js'
export { auditLog, type LineSink } from './audit-log.js'
export { callObserver, describeFailure } from './observer.js'
export { BatonError, ConfigurationError, OperationalError, type OperationalErrorCode, StoreError } from './errors.js'
export type { Grace, Lifetime, LifetimeOptions, Policy, PolicyOptions, Rotation } from './policy.js'
export { includesResource, isSameResource, normalizeResource } from './resource.js'
export { isWithin, parseScope } from './scope.js'
export { type Confirmation, confirmationText, sameConfirmation } from './confirmation.js'
export type {
  CurrentToken,
  Family,
  FamilyGrant,
  FamilyId,
  FamilyLifetime,
  FamilyRecord,
  Revocation,
  RevocationReason,
  Verifier,
} from './family.js'
export type { Claim, ListQuery, Page, RotateCommand, TokenStore } from './store.js'
export { TEXT_LIMITS } from './text-limits.js'
