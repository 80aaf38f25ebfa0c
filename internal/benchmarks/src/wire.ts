import { once } from 'node:events'
import { connect as open } from 'node:net'

/** A keep-alive connection with one request at a time. */
export interface Connection {
  post(path: string, form: string): Promise<Result>
  get(path: string, authorization: string): Promise<Result>
  close(): void
}

interface Result {
  readonly status: number
  readonly body: string
}

const HEAD_END = '\r\n\r\n'

/** A minimal HTTP client for these servers: Content-Length or chunks, ASCII only. */
export async function connect(port: number): Promise<Connection> {
  const socket = open({ host: '127.0.0.1', port, noDelay: true })
  await once(socket, 'connect')
  let received = ''
  let settle: { resolved: (response: Result) => void; failed: (error: Error) => void } | null = null

  const end = (error: Error) => {
    settle?.failed(error)
    settle = null
  }
  socket.setEncoding('latin1')
  socket.on('error', end).on('close', () => {
    end(new Error('the server closed the connection'))
  })
  socket.on('data', (text: string) => {
    received += text
    const response = parseResponse(received)
    if (response === null) return
    received = ''
    settle?.resolved(response)
  })

  const send = (requestLine: string, rest: string) =>
    new Promise<Result>((resolved, failed) => {
      settle = { resolved, failed }
      socket.write(`${requestLine} HTTP/1.1\r\nHost: 127.0.0.1:${String(port)}\r\nAccept: application/json\r\n${rest}`)
    })

  return {
    post: (path, form) =>
      send(
        `POST ${path}`,
        `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${String(form.length)}\r\n\r\n${form}`,
      ),
    get: (path, authorization) => send(`GET ${path}`, `Authorization: ${authorization}\r\n\r\n`),
    close: () => socket.destroy(),
  }
}

/** Returns null if the response is incomplete. */
function parseResponse(text: string): Result | null {
  const headEnd = text.indexOf(HEAD_END)
  if (headEnd === -1) return null
  const status = Number(text.slice(9, 12))
  const rest = text.slice(headEnd + HEAD_END.length)
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, headEnd))?.[1]
  if (length === undefined) return rest.endsWith('0\r\n\r\n') ? { status, body: rest } : null
  return rest.length >= Number(length) ? { status, body: rest } : null
}
