/**
 * The maximum lengths of texts in records and queries, in bytes of UTF-8. Core rejects longer ones, so that a store can rely on the
 * limits. All texts are well-formed Unicode without NUL.
 */
export const TEXT_LIMITS = {
  /** `subject`, `clientId`, `acr`, the thumbprint of `confirmation`, each resource of `audience` and each value of `amr`. Never empty. */
  nameBytes: 1024,
  /** `scope`: ASCII, may be empty. */
  scopeBytes: 4096,
  /** Resources in `audience`. */
  audienceEntries: 64,
  /** Values in `amr`. */
  amrEntries: 16,
  /** `metadata` as JSON, as `JSON.stringify` writes it. */
  metadataBytes: 4096,
  /** Texts that core generates: ids of families and revocations, verifiers, nonces, key ids, one-time keys and their owners. ASCII, never empty. */
  madeByCoreBytes: 64,
  /** `cursor`, which the store generates. */
  cursorBytes: 1024,
} as const
