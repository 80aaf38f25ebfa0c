import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { auditLog } from '../../src/index.js'
import { MINUTE, START, expectOk, createSetup } from '../setup.js'

describe('auditLog', () => {
  it('writes each event as one line of JSON without any refresh token', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'baton-audit-'))
    try {
      const stream = createWriteStream(join(folder, 'audit.log'), { flags: 'a' })
      const setup = createSetup({ onEvent: auditLog(stream) })
      const { refreshToken, family } = await setup.tokens.issue({ subject: 'alice' })
      const next = expectOk(await setup.tokens.rotate({ refreshToken }))
      setup.advance(MINUTE)
      await setup.tokens.rotate({ refreshToken })
      await setup.tokens.rotate({ refreshToken: 'rubbish', clientId: 'evil"\n{"event":"issued"}\u2028' })
      stream.end()
      await finished(stream)

      const text = readFileSync(join(folder, 'audit.log'), 'utf8')
      const lines = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
      const about = { familyId: family.id, subject: 'alice', clientId: 'first-party' }
      const time = new Date(START).toISOString()
      const later = new Date(START + MINUTE).toISOString()
      expect(lines).toEqual([
        { time, event: 'issued', ...about, offline: false },
        { time, event: 'rotated', ...about, generation: 1 },
        { time: later, event: 'reuse', ...about, generation: 1, presentedGeneration: 0 },
        {
          time: later,
          event: 'rejected',
          reason: 'malformed',
          familyId: null,
          clientId: 'evil"\n{"event":"issued"}\u2028',
        },
      ])
      for (const secret of [refreshToken, next.refreshToken]) expect(text).not.toContain(secret)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
