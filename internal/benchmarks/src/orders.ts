import type { Row } from './row.js'

/** Where engines can be reached; what a row does not use is not started. */
export interface Engines {
  readonly redis: { readonly host: string; readonly port: number } | null
  readonly cluster: readonly { readonly host: string; readonly port: number }[] | null
  readonly postgres: string | null
}

/** What a load generator needs to know of a server. */
export interface Target {
  readonly port: number
  readonly path: string
  /** The form, up to where the refresh token has to be put. */
  readonly form: string
  /** It answers the same whatever it is asked: no token changes, and none has to. */
  readonly constant?: boolean
}

export type ServerOrder =
  | { readonly type: 'start'; readonly row: Row; readonly engines: Engines }
  /** Signs in this many people, each with a session of its own. */
  | { readonly type: 'issue'; readonly count: number }
  | { readonly type: 'usage' }
  /** Waits for the engine to settle and tells how many bytes all sessions take. */
  | { readonly type: 'stored' }

export interface Usage {
  /** Microseconds of CPU for one answer, user and system, all threads of this process, since the last time that somebody asked. */
  readonly cpuMicros: number
  readonly residentBytes: number
  /** Commands that this process has sent to its engine. */
  readonly commands: number
}

export type ServerReport =
  | ({ readonly type: 'listening' } & Target)
  | { readonly type: 'issued'; readonly refreshTokens: readonly string[] }
  | ({ readonly type: 'used' } & Usage)
  | { readonly type: 'stored'; readonly bytes: number }
  | { readonly type: 'failed'; readonly message: string }

/** Every chain is one session that one client refreshes, over and over; clients with several take them in turn. */
export interface LoadOrder {
  readonly target: Target
  readonly chains: readonly string[]
  readonly clients: number
  /** Ends when either is reached. */
  readonly most: { readonly milliseconds: number; readonly rotations: number }
}

export type LoadReport =
  | {
      readonly type: 'ran'
      readonly seconds: number
      readonly rotations: number
      /** Milliseconds, one for each rotation. */
      readonly latencies: Float64Array
      /** In the order of the chains that were given: the newest token of each. */
      readonly chains: readonly string[]
      /** What went wrong, each kind once, with how often. */
      readonly errors: Readonly<Record<string, number>>
    }
  | { readonly type: 'failed'; readonly message: string }
