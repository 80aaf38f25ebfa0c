import { createSession } from '@baton/client'
import { cookieEndpoints } from '@baton/client/cookie'
import { webStorage } from '@baton/client/web-storage'

/** The session of the page. The refresh token is in a cookie that scripts cannot read; the stored record contains no secret. */
export const session = createSession({
  endpoints: cookieEndpoints({ refreshEndpoint: '/auth/refresh', logoutEndpoint: '/auth/logout' }),
  storage: webStorage(),
})

/** Rejects if the server rejects the sign-in. */
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
