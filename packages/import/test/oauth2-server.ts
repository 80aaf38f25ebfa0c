import OAuth2Server from '@node-oauth/oauth2-server'

/** Where an app keeps what @node-oauth/oauth2-server issues: its own table, written by its own statements. */
export interface TokenTable {
  insert(row: {
    refreshToken: string
    expiresAt: Date
    clientId: string
    userId: number
    scope: string
  }): Promise<unknown>
}

/** A server of @node-oauth/oauth2-server with the password grant, over this table. Returns a sign-in. */
export function oauth2Server(table: TokenTable) {
  const client = { id: 'app', grants: ['password'], refreshTokenLifetime: 14 * 86_400 }
  const server = new OAuth2Server({
    requireClientAuthentication: { password: false },
    model: {
      getClient: async () => client,
      getUser: async () => ({ id: 7 }),
      validateScope: async (_user, _client, scope) => scope ?? ['read'],
      getAccessToken: async () => null,
      async saveToken(token, _client, user) {
        await table.insert({
          refreshToken: token.refreshToken!,
          expiresAt: token.refreshTokenExpiresAt!,
          clientId: client.id,
          userId: user['id'],
          scope: (token.scope ?? []).join(' '),
        })
        return { ...token, client, user }
      },
    },
  })
  return async function signIn(): Promise<string> {
    const body = {
      grant_type: 'password',
      client_id: 'app',
      username: 'alice',
      password: 'wonderland',
      scope: 'read write',
    }
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': '1' }
    const request = new OAuth2Server.Request({ method: 'POST', headers, query: {}, body })
    const { refreshToken } = await server.token(request, new OAuth2Server.Response())
    return refreshToken!
  }
}
