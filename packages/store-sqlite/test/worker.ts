import { createRefreshTokens } from '@baton/core'
import { serveTokens } from '@baton/test-processes'
import { type SqliteDatabase, sqliteStore } from '../src/index.js'
import { close, drivers } from './drivers.js'

export const SECRET = 'a secret of at least thirty-two bytes'

export interface Settings {
  readonly driver: string
  readonly path: string
  readonly now: number
  /** The process kills itself in the middle of this update of a family, counted from 1. */
  readonly deadlyUpdate?: number
  /** The process kills itself when it is about to commit for the so many-th time. */
  readonly deadlyCommit?: number
}

let closeLast: () => unknown = () => undefined

serveTokens(async ({ driver: name, path, now, deadlyUpdate, deadlyCommit }: Settings) => {
  const driver = drivers.find((candidate) => candidate.name === name)
  if (driver === undefined) throw new Error(`no driver ${name}`)
  closeLast()
  const db = driver.open(path)
  closeLast = () => close(db)
  const store = sqliteStore(deadlyCommit === undefined ? db : dyingAt(deadlyCommit, db))
  if (deadlyUpdate !== undefined) {
    let left = deadlyUpdate
    db.function('die', () => {
      left -= 1
      if (left === 0) process.kill(process.pid, 'SIGKILL')
      return 0
    })
    db.exec('CREATE TEMP TRIGGER dying AFTER UPDATE ON baton_families BEGIN SELECT die(); END')
  }
  return { store, tokens: createRefreshTokens({ store, secrets: [SECRET], now: () => now }) }
})

/** As a power failure would have it: what is written has not been made durable yet. */
function dyingAt(commit: number, db: SqliteDatabase): SqliteDatabase {
  let left = commit
  return {
    prepare: (sql) => db.prepare(sql),
    exec(sql) {
      if (sql === 'COMMIT') left -= 1
      if (left === 0) process.kill(process.pid, 'SIGKILL')
      return db.exec(sql)
    },
  }
}
