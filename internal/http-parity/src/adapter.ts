import type { AccessTokenGuardOptions, AdapterHandlers, Endpoint } from '@baton/http'

/** What every adapter exports, under the same names and with the same arguments. */
export interface Adapter<Handler, Guard> extends AdapterHandlers<Handler> {
  readonly handler: (endpoint: Endpoint) => Handler
  readonly requireAccessToken: (options: AccessTokenGuardOptions) => Guard
}
