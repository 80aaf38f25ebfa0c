import { once } from 'node:events'
import { connect as open } from 'node:net'

/** One keep-alive connection that carries one request at a time. */
export interface Connection {
  post(path: string, form: string): Promise<Answer>
  close(): void
}

interface Answer {
  readonly status: number
  readonly body: string
}

const HEAD_END = '\r\n\r\n'

/** Speaks as much HTTP as the servers here answer with: a length, or chunks. Everything in it is ASCII. */
export async function connect(port: number): Promise<Connection> {
  const socket = open({ host: '127.0.0.1', port, noDelay: true })
  await once(socket, 'connect')
  let received = ''
  let settle: { answered: (answer: Answer) => void; failed: (error: Error) => void } | null = null

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
    const answer = answerIn(received)
    if (answer === null) return
    received = ''
    settle?.answered(answer)
  })

  return {
    post(path, form) {
      return new Promise((answered, failed) => {
        settle = { answered, failed }
        socket.write(
          `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${String(port)}\r\nContent-Type: application/x-www-form-urlencoded\r\n` +
            `Accept: application/json\r\nContent-Length: ${String(form.length)}\r\n\r\n${form}`,
        )
      })
    },
    close: () => socket.destroy(),
  }
}

/** Null while something is missing. */
function answerIn(text: string): Answer | null {
  const headEnd = text.indexOf(HEAD_END)
  if (headEnd === -1) return null
  const status = Number(text.slice(9, 12))
  const rest = text.slice(headEnd + HEAD_END.length)
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, headEnd))?.[1]
  if (length === undefined) return rest.endsWith('0\r\n\r\n') ? { status, body: rest } : null
  return rest.length >= Number(length) ? { status, body: rest } : null
}
