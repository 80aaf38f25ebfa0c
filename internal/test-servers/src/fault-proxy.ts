import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { freePort, loopback } from './ports.js'

/** The traffic of one client connection so far. */
export interface ProxiedConnection {
  readonly id: number
  readonly isOpen: boolean
  /** Pieces and bytes that the client sent. */
  readonly requests: number
  readonly requestBytes: number
  /** Pieces and bytes that the server sent, including those that the client did not receive. */
  readonly answers: number
  readonly answerBytes: number
}

/** A TCP proxy on loopback. Initially it forwards all data. Each fault lasts until the next call. */
export interface FaultProxy {
  readonly host: string
  readonly port: number
  /** `url` with the proxy's host and port. */
  through(url: string): string
  /** All connections that were ever accepted, in order. */
  readonly connections: readonly ProxiedConnection[]
  /** Ends every fault. */
  pass(): Promise<void>
  /** Delays each piece of a response by this time and keeps the order. */
  delayAnswers(milliseconds: number): Promise<void>
  /**
   * Waits once for the next request that `matches`. When its response has arrived here, destroys the connection of the client instead of
   * forwarding the response, or after its first `passing` bytes. Then resolves. The next data of the server on that connection counts as
   * the response, so no earlier request of that connection may be pending.
   */
  destroyNextAnswer(matches?: (request: Buffer) => boolean, passing?: number): Promise<void>
  /** Destroys all open connections, on both sides. New ones are served. */
  cutAll(): void
  /** Destroys all connections and rejects new ones. */
  refuse(): Promise<void>
  /** Accepts connections and discards all data in both directions. The end of this fault destroys these connections. */
  blackHole(): Promise<void>
  /** Serves new connections from another target and destroys the old ones, like a fail-over. */
  retarget(target: ProxyTarget): void
  /** Serves new connections from another target and keeps the old ones, like a changed DNS record. */
  redirect(target: ProxyTarget): void
  stop(): Promise<void>
}

interface ProxyTarget {
  readonly host?: string
  readonly port: number
}

type Fault = { kind: 'none' } | { kind: 'delay'; milliseconds: number } | { kind: 'refuse' } | { kind: 'black hole' }

interface Ambush {
  readonly matches: (request: Buffer) => boolean
  readonly passing: number
  readonly done: () => void
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** Starts a proxy in front of one server and resolves once it accepts connections. */
export async function startFaultProxy(options: { readonly target: ProxyTarget }): Promise<FaultProxy> {
  let { target } = options
  let fault: Fault = { kind: 'none' }
  const ambushes = new Set<Ambush>()
  const connections: Mutable<ProxiedConnection>[] = []
  const cuts = new Set<() => void>()
  const port = await freePort()
  const listener = createServer({ allowHalfOpen: true }, serve)

  function serve(client: Socket): void {
    const server = connect({ host: target.host ?? loopback, port: target.port, allowHalfOpen: true })
    const counted: Mutable<ProxiedConnection> = {
      id: connections.length,
      isOpen: true,
      requests: 0,
      requestBytes: 0,
      answers: 0,
      answerBytes: 0,
    }
    connections.push(counted)
    let caught: Ambush | undefined
    const answers = inOrder()

    const cut = (): void => {
      counted.isOpen = false
      cuts.delete(cut)
      client.destroy()
      server.destroy()
    }
    cuts.add(cut)
    for (const side of [client, server]) {
      side.setNoDelay(true)
      side.on('error', cut)
    }
    client.on('close', cut)
    server.on('close', () => answers.add(0, cut))

    client.on('data', (piece: Buffer) => {
      counted.requests += 1
      counted.requestBytes += piece.length
      if (fault.kind === 'black hole') return
      for (const ambush of ambushes) {
        if (caught || !ambush.matches(piece)) continue
        caught = ambush
        ambushes.delete(ambush)
      }
      server.write(piece)
    })
    client.on('end', () => server.end())

    server.on('data', (piece: Buffer) => {
      counted.answers += 1
      counted.answerBytes += piece.length
      if (fault.kind === 'black hole') return
      if (caught) {
        const { passing, done } = caught
        const destroy = () => {
          cut()
          done()
        }
        if (passing === 0) destroy()
        else client.end(piece.subarray(0, passing), destroy)
        return
      }
      answers.add(fault.kind === 'delay' ? fault.milliseconds : 0, () => client.write(piece))
    })
    server.on('end', () => answers.add(0, () => client.end()))
  }

  function cutAll(): void {
    for (const cut of cuts) cut()
  }

  async function enter(next: Fault): Promise<void> {
    if (fault.kind === 'black hole') cutAll()
    fault = next
    if (next.kind === 'refuse') {
      if (listener.listening) listener.close()
      cutAll()
    } else if (!listener.listening) {
      listener.listen(port, loopback)
      await once(listener, 'listening')
    }
  }

  await enter(fault)
  return {
    host: loopback,
    port,
    through(url) {
      const proxied = new URL(url)
      proxied.hostname = loopback
      proxied.port = String(port)
      return proxied.href
    },
    connections,
    pass: () => enter({ kind: 'none' }),
    delayAnswers: (milliseconds) => enter({ kind: 'delay', milliseconds }),
    destroyNextAnswer: (matches = () => true, passing = 0) =>
      new Promise((done) => ambushes.add({ matches, passing, done })),
    cutAll,
    refuse: () => enter({ kind: 'refuse' }),
    blackHole: () => enter({ kind: 'black hole' }),
    retarget(next) {
      target = next
      cutAll()
    },
    redirect(next) {
      target = next
    },
    stop: () => enter({ kind: 'refuse' }),
  }
}

/** Runs steps in the order of their arrival, each no earlier than its delay. */
function inOrder(): { add(milliseconds: number, step: () => void): void } {
  const waiting: { dueAt: number; step: () => void }[] = []

  function runDue(): void {
    for (let next = waiting[0]; next; next = waiting[0]) {
      const early = next.dueAt - performance.now()
      if (early > 0) {
        setTimeout(runDue, Math.ceil(early))
        return
      }
      waiting.shift()
      next.step()
    }
  }

  return {
    add(milliseconds, step) {
      waiting.push({ dueAt: performance.now() + milliseconds, step })
      if (waiting.length === 1) runDue()
    },
  }
}
