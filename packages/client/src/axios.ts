import type { Session } from './session/session.js'
import type { AxiosInstance } from 'axios'
import { checkOptions } from './platform/options.js'

/**
 * Sends the requests of this axios instance by `session.fetch`, with all that it does about tokens, 401 and proofs. What rejects
 * there is the `cause` of the `AxiosError`, whose `code` is that of the `SessionError`. The answer undoes it.
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
