import type { StaticClient } from '@baton/http'

/** Who may ask for tokens. A client without a secret is public: an app in a browser or on a phone, which could keep none. */
export const clients: readonly StaticClient[] = [
  { clientId: 'web' },
  { clientId: 'other' },
  { clientId: 'backend', secret: 'backend-secret' },
]
