import type { AccessTokenGuardOptions, AdapterHandlers, Endpoint } from '@baton/http'

/** The exports of every adapter, with the same names and arguments. */
export interface Adapter<Handler, Guard> extends AdapterHandlers<Handler> {
  readonly handler: (endpoint: Endpoint) => Handler
  readonly requireAccessToken: (options: AccessTokenGuardOptions) => Guard
}
