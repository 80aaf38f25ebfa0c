export {
  createRefreshTokens,
  type ListRequest,
  type ListRevokedRequest,
  type RefreshTokens,
  type RefreshTokensOptions,
} from './refresh-tokens.js'
export type {
  BeforeCommit,
  BeforeRotate,
  BeforeRotateContext,
  BeforeRotateVerdict,
  CheckRateLimit,
  Grant,
  LegacyGrant,
  LegacyTokenSource,
  TokenHolder,
  TokenOrigin,
} from './operations/contracts.js'
export type { Rejection } from './operations/context.js'
export type { Issued } from './operations/issue.js'
export type { RedeemOutcome, RedeemRequest } from './operations/redeem.js'
export type { Reservation, ReserveRequest } from './operations/reserve.js'
export type { RotateOutcome, RotateRequest } from './operations/rotate.js'
export type { RevokeOutcome, RevokeRequest, RevokeSubjectOptions } from './operations/revoke.js'
export type { ConsumeOnceRequest } from './operations/consume-once.js'
export type { Inspection } from './operations/inspect.js'
export type { AttemptMatch, Grace, MintOutcome, RejectionReason } from './decision/decide.js'
export { auditLog, type LineSink } from './events/audit-log.js'
export type { RefreshEvent } from './events/events.js'
export { callObserver, describeFailure } from './events/observer.js'
export {
  createSecondHolderDetector,
  type SecondHolderDetectorOptions,
  type SecondHolderSuspicion,
} from './events/second-holder.js'
export { type Confirmation, serializeConfirmation, isSameConfirmation } from './model/confirmation.js'
export {
  BatonError,
  ConfigurationError,
  OperationalError,
  type OperationalErrorCode,
  StoreError,
} from './model/errors.js'
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
} from './model/family.js'
export { FIRST_PARTY, type IssueRequest } from './model/grant.js'
export type { Lifetime, LifetimeOptions, Policy, PolicyOptions, Rotation } from './model/policy.js'
export { includesResource, isSameResource, normalizeResource } from './model/resource.js'
export { isWithin, parseScope } from './model/scope.js'
export { TEXT_LIMITS } from './model/text-limits.js'
export type {
  ListQuery,
  OneTimeKey,
  Page,
  RevocationPage,
  RevocationQuery,
  RevokedFamily,
  RotateCommand,
  TokenStore,
} from './store.js'
export { describeToken, type DescribeTokenOptions, type TokenDescription } from './token/describe-token.js'
