import { once } from 'node:events'
import { createServer } from 'node:http'

export interface Loopback {
  /** The redirect URI, on a free port. */
  readonly redirectUri: string
  /** Resolves to the URL to which the browser was redirected. */
  readonly callback: Promise<string>
}

/**
 * Listens on loopback for one redirect of the browser (RFC 8252 section 7.3). A phone uses an app link instead, which the system opens
 * in the app, such as `https://app.example/callback`.
 */
export async function listenForBrowser(): Promise<Loopback> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the loopback server has no port')
  const redirectUri = `http://127.0.0.1:${String(address.port)}/callback`

  const callback = new Promise<string>((resolve) => {
    server.on('request', ({ url = '/' }, response) => {
      const isBack = url.startsWith('/callback?')
      response.writeHead(isBack ? 200 : 404, { 'content-type': 'text/plain', connection: 'close' })
      response.end(isBack ? 'You are signed in. Go back to the app.\n' : 'Nothing is here.\n')
      if (!isBack) return
      server.close()
      resolve(new URL(url, redirectUri).href)
    })
  })
  return { redirectUri, callback }
}
