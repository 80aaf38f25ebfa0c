import { connect } from 'node:net'

/** A request that is sent unchanged. `fetch` would normalize parts of it, such as repeated headers. */
export interface WireRequest {
  readonly method: string
  readonly target: string
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly body?: string | Uint8Array
  /** Sends the body in two chunks without a Content-Length. */
  readonly chunked?: boolean
}

/** The parts of a response that must be the same for all servers. */
export interface WireResponse {
  readonly status: number
  /** All values of each header, in order. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  readonly body: string
}

const COMPARED = [
  'content-type',
  'cache-control',
  'pragma',
  'www-authenticate',
  'set-cookie',
  'allow',
  'retry-after',
  'x-content-type-options',
  'vary',
  'location',
  'access-control-allow-origin',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-expose-headers',
  'access-control-max-age',
  'access-control-allow-credentials',
  'dpop-nonce',
]

/** Sends one request to a port of this machine and reads until the server closes the connection. */
export async function send(port: number, request: WireRequest): Promise<WireResponse> {
  return read(await exchange(port, write(request)))
}

function write({ method, target, headers = [], body, chunked = false }: WireRequest): Uint8Array {
  const bytes = Buffer.from(body ?? '')
  const length = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes.byteLength}`
  const lines = [
    `${method} ${target} HTTP/1.1`,
    'Host: localhost:3000',
    'Connection: close',
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(body === undefined ? [] : [length]),
  ]
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  return Buffer.concat([head, ...(chunked ? inChunks(bytes) : [bytes])])
}

function inChunks(bytes: Buffer): Buffer[] {
  const middle = Math.floor(bytes.byteLength / 2)
  const chunk = (part: Buffer) => [Buffer.from(`${part.byteLength.toString(16)}\r\n`), part, Buffer.from('\r\n')]
  return [...chunk(bytes.subarray(0, middle)), ...chunk(bytes.subarray(middle)), Buffer.from('0\r\n\r\n')]
}

function exchange(port: number, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.write(bytes))
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.once('end', () => {
      socket.destroy()
      resolve(Buffer.concat(chunks).toString('latin1'))
    })
    socket.once('error', reject)
    socket.setTimeout(10_000, () => socket.destroy(new Error('no response within ten seconds')))
  })
}

function read(text: string): WireResponse {
  const end = text.indexOf('\r\n\r\n')
  const [statusLine = '', ...lines] = text.slice(0, end).split('\r\n')
  const fields = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  const valuesOf = (name: string) => fields.filter((field) => field[0] === name).map(([, value]) => value)
  const isChunked = valuesOf('transfer-encoding').includes('chunked')
  const body = text.slice(end + 4)
  return {
    status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1]),
    headers: Object.fromEntries(
      COMPARED.map((name) => [name, valuesOf(name)] as const).filter(([, values]) => values.length > 0),
    ),
    body: Buffer.from(isChunked ? joinChunks(body) : body, 'latin1').toString(),
  }
}

function joinChunks(text: string): string {
  const start = text.indexOf('\r\n') + 2
  const size = Number.parseInt(text, 16)
  return size === 0 ? '' : text.slice(start, start + size) + joinChunks(text.slice(start + size + 2))
}
