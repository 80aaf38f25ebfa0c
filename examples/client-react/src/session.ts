import { createSession } from '@baton/client'
import { cookieEndpoints } from '@baton/client/cookie'
import { webStorage } from '@baton/client/web-storage'

/** One for the whole page. The refresh token is in a cookie that no script sees; what is stored is no secret. */
export const session = createSession({
  endpoints: cookieEndpoints({ refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout' }),
  storage: webStorage(),
})

/** Rejects where the server does not let in. */
export function signIn(username: string, password: string): Promise<void> {
  return session.login(async (signal) => {
    const response = await fetch('/login?cookie=1', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password }),
      signal,
    })
    if (!response.ok) throw new Error('That is not the password.')
    return response.json()
  })
}
