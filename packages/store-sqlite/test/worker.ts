import { createRefreshTokens } from '@baton/core'
import { serveTokens } from '@baton/test-processes'
import { sqliteStore } from '../src/index.js'
import { close, drivers } from './drivers.js'

export const SECRET = 'a secret of at least thirty-two bytes'

export interface Settings {
  readonly driver: string
  readonly path: string
  readonly now: number
  /** The process kills itself in the middle of this update of a family, counted from 1. */
  readonly deadlyUpdate?: number
}

let closeLast: () => unknown = () => undefined

serveTokens(async ({ driver: name, path, now, deadlyUpdate }: Settings) => {
  const driver = drivers.find((candidate) => candidate.name === name)
  if (driver === undefined) throw new Error(`no driver ${name}`)
  closeLast()
  const db = driver.open(path)
  closeLast = () => close(db)
  const store = sqliteStore(db)
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
