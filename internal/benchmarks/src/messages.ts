import type { Row } from './row.js'

/** Addresses of the engines; null if no row uses it. */
export interface Engines {
  readonly redis: { readonly host: string; readonly port: number } | null
  readonly cluster: readonly { readonly host: string; readonly port: number }[] | null
  readonly postgres: string | null
}

/** The data of a server that a load generator needs. */
export interface Target {
  readonly port: number
  readonly path: string
  /** The form up to the value of the refresh token. */
  readonly form: string
  /** The response is constant: the token does not change. */
  readonly constant?: boolean
}

export type ServerRequest =
  | { readonly type: 'start'; readonly row: Row; readonly engines: Engines }
  /** Creates this number of sessions, each for another user. */
  | { readonly type: 'issue'; readonly count: number }
  | { readonly type: 'usage' }
  /** Waits for the engine to settle and returns the size of all sessions in bytes. */
  | { readonly type: 'stored' }

export interface Usage {
  /** CPU time per response in microseconds, user and system, all threads, since the last request for it. */
  readonly cpuMicros: number
  readonly residentBytes: number
  /** The number of commands from this process to its engine. */
  readonly commands: number
}

export type ServerReport =
  | ({ readonly type: 'listening' } & Target)
  | { readonly type: 'issued'; readonly refreshTokens: readonly string[] }
  | ({ readonly type: 'used' } & Usage)
  | { readonly type: 'stored'; readonly bytes: number }
  | { readonly type: 'failed'; readonly message: string }

/** Each chain is one session that one client refreshes. A client with several chains alternates between them. */
export interface LoadRequest {
  readonly target: Target
  readonly chains: readonly string[]
  readonly clients: number
  /** The run ends at the first limit. */
  readonly most: { readonly milliseconds: number; readonly rotations: number }
}

export type LoadReport =
  | {
      readonly type: 'ran'
      readonly seconds: number
      readonly rotations: number
      /** One value per rotation, in milliseconds. */
      readonly latencies: Float64Array
      /** The newest token of each chain, in the order of the request. */
      readonly chains: readonly string[]
      /** The number of errors of each kind. */
      readonly errors: Readonly<Record<string, number>>
    }
  | { readonly type: 'failed'; readonly message: string }
