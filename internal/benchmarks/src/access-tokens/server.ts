import { subscribe } from 'node:diagnostics_channel'
import { type Route, serveRoutes } from './routes.js'
import { createAccessTokens, issueAccessTokens } from './tokens.js'

/* Serves all rows of the section "access tokens" and reports the CPU time per response. */

export type TokenServerRequest = { readonly type: 'start'; readonly tokens: number } | { readonly type: 'usage' }

export type TokenServerReport =
  | {
      readonly type: 'listening'
      readonly routes: readonly Route[]
      readonly jwt: readonly string[]
      readonly sealed: readonly string[]
    }
  | { readonly type: 'used'; readonly cpuMicros: number }
  | { readonly type: 'failed'; readonly message: string }

let responses = 0
let used = process.cpuUsage()

subscribe('http.server.response.finish', () => {
  responses += 1
})

async function handle(message: TokenServerRequest): Promise<TokenServerReport> {
  if (message.type === 'start') {
    const accessTokens = createAccessTokens()
    const [jwt, sealed] = await Promise.all(
      [accessTokens.jwt, accessTokens.sealed].map((each) => issueAccessTokens(each, message.tokens)),
    )
    return { type: 'listening', routes: await serveRoutes(accessTokens), jwt: jwt ?? [], sealed: sealed ?? [] }
  }
  const { user, system } = process.cpuUsage(used)
  const cpuMicros = (user + system) / responses
  used = process.cpuUsage()
  responses = 0
  return { type: 'used', cpuMicros }
}

process.on('message', (message: TokenServerRequest) => {
  const failed = (error: unknown): TokenServerReport => ({ type: 'failed', message: String(error) })
  void handle(message)
    .catch(failed)
    .then((report) => process.send?.(report))
})
process.on('disconnect', () => process.exit())
