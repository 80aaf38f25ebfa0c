/** The supported scopes. */
export const SCOPES: readonly string[] = ['read', 'write', 'offline_access']
