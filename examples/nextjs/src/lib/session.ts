import { createSession } from '@baton/client'
import { cookieEndpoints } from '@baton/client/cookie'
import { webStorage } from '@baton/client/web-storage'

/** The session of the page. The refresh token is in a cookie that scripts cannot read; the stored record contains no secret. */
export const session = createSession({
  endpoints: cookieEndpoints({
    refreshEndpoint: '/auth/refresh',
    logoutEndpoint: '/auth/logout',
  }),
  storage: webStorage(),
})

/** Signs in. Rejects if the server does. */
export function signIn(credentials: { readonly username: string; readonly password: string }): Promise<void> {
  return session.login(async (signal) => {
    const response = await fetch('/auth/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(credentials),
      signal,
    })
    if (!response.ok) throw new Error('Wrong name or password.')
    return response.json()
  })
}
