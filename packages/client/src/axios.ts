import type { Session } from './session/session.js'
import type { AxiosInstance } from 'axios'

/**
 * Sends the requests of this axios instance by `session.fetch`, with all that it does about tokens, 401 and proofs. What rejects
 * there is the `cause` of the `AxiosError`, whose `code` is that of the `SessionError`. The answer undoes it.
 */
export function attachSession({ interceptors }: AxiosInstance, { fetch }: Pick<Session, 'fetch'>): () => void {
  const id = interceptors.request.use((config) => {
    config.adapter = 'fetch'
    config.env = { ...config.env, fetch: (input, init) => fetch(input, init) }
    return config
  })
  return () => interceptors.request.eject(id)
}
