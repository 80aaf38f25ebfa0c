/**
 * How long the texts in records and queries are at most, in bytes of UTF-8. Core accepts no longer ones from callers, so that a store
 * may rely on the limits. All texts are well-formed Unicode without NUL.
 */
export const TEXT_LIMITS = {
  /** `subject`, `clientId`, the thumbprint of `confirmation`, and each resource of `audience`. Never empty. */
  nameBytes: 1024,
  /** `scope`: ASCII, may be empty. */
  scopeBytes: 4096,
  /** Resources in `audience`. */
  audienceEntries: 64,
  /** `metadata` as JSON, as `JSON.stringify` writes it. */
  metadataBytes: 4096,
  /** What core makes itself: ids of families and revocations, verifiers, nonces, key ids, keys and owners of claims. ASCII, never empty. */
  madeByCoreBytes: 64,
  /** `cursor`, which the store makes: a longer one is never given back to it. */
  cursorBytes: 1024,
} as const
