import type { Session } from './session/session.js'
import type { AxiosInstance } from 'axios'
import { checkOptions } from './platform/options.js'

/**
 * Sends the requests of an axios instance with `session.fetch`, which attaches the access token and handles 401. A `SessionError` becomes
 * the `cause` of the `AxiosError`, which has the same `code`. Returns a function that removes the interceptor.
 *
 * @example
 * ```ts
 * import { attachSession } from '@baton/client/axios'
 * import axios from 'axios'
 *
 * const api = axios.create({ baseURL: 'https://api.example' })
 * const detach = attachSession(api, session)
 * ```
 */
export function attachSession(axios: AxiosInstance, session: Pick<Session, 'fetch'>): () => void {
  checkOptions({ axios, session }, { axios: 'function', session: '.fetch' }, {})
  const { interceptors } = axios
  const id = interceptors.request.use((config) => {
    config.adapter = 'fetch'
    config.env = { ...config.env, fetch: (input, init) => session.fetch(input, init) }
    return config
  })
  return () => interceptors.request.eject(id)
}
