import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that listens on a free port of this machine. */
export interface Served {
  readonly port: number
  close(): Promise<void>
}

/** Listens with the request listener of Express, Koa (`app.callback()`) or Node.js. */
export function serve(listener: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<Served> {
  return listen(createServer((request, response) => void listener(request, response)))
}

/** Starts an existing server. */
export function listen(server: Server): Promise<Served> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed())
            server.closeAllConnections()
          }),
      })
    })
  })
}
