/** What may be granted here. */
export const SCOPES: readonly string[] = ['read', 'write', 'offline_access']
