import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRefreshTokens } from '@baton/core'
import { sqliteStore } from '@baton/store-sqlite'
import Database from 'better-sqlite3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Baton, buildBaton } from './baton.js'

const SECRET = 'the secret of the command line tests; 48 bytes long'
const OTHER = 'another secret of the command line tests; for other keys'

let baton: Baton
let folder: string

beforeAll(async () => {
  baton = await buildBaton(import.meta.url)
})
afterAll(() => {
  baton.remove()
})
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-cli-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true })
})

/** A SQLite file, refresh tokens in it, and the arguments that name it. */
function createSqlite() {
  const path = join(folder, 'sessions.db')
  const db = new Database(path)
  const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
  return { tokens, db, store: ['--store', `sqlite:${path}`] }
}

describe('the command line', () => {
  it('lists all commands, and the options of each', async () => {
    const { code, stdout } = await baton.run(['--help'])
    expect(code).toBe(0)
    const names = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name!)
    expect(names).toEqual(['init', 'secret', 'inspect', 'sessions', 'revoke', 'purge', 'doctor', 'migrate', 'import'])
    const helps = await Promise.all(names.map((name) => baton.run([name, '--help'])))
    for (const [index, help] of helps.entries())
      expect([help.code, help.stdout]).toEqual([0, expect.stringMatching(`^Usage: baton ${names[index]!}`)])
    expect(await baton.run(['--version'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
  })

  it.each([
    [['sesions', 'alice'], /unknown command "sesions"; did you mean sessions\?/],
    [['purge', '--bach', '5'], /did you mean --batch\?/],
    [['purge', '--batch', 'many'], /--batch many is not a whole number/],
    [['sessions'], /name a subject;/],
    [['sessions', 'alice', 'bob'], /"bob" is an unexpected argument/],
    [['sessions', 'alice'], /no store: pass --store/],
    [['sessions', 'alice', '--store', 'mysql://user:hunter2@host'], /got mysql:/],
    [
      ['sessions', 'alice', '--store', 'sqlite:nowhere.db'],
      /the file .*nowhere\.db does not exist; create it with: baton migrate/,
    ],
    [['revoke'], /name a family or a subject;/],
    [['doctor', '--config', 'nowhere.js'], /the file nowhere\.js does not exist/],
    [['init', '--framework', 'expres'], /--framework expres is not one of .*; did you mean express\?/],
  ])('rejects %j and names the mistake', async (args, message) => {
    const { code, stdout, stderr } = await baton.run(args, { cwd: folder })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/hunter2|\n {4}at /)
  })

  it('reports a store that is unreachable, without its password', async () => {
    // The discard port: no server listens.
    for (const url of ['redis://:hunter2@127.0.0.1:9', 'postgres://me:hunter2@127.0.0.1:9/db']) {
      const { code, stderr } = await baton.run(['sessions', 'alice', '--store', url])
      expect(code).toBe(3)
      expect(stderr).toMatch(/^baton: /)
      expect(stderr).not.toMatch(/hunter2|\n {4}at /)
    }
  })
})

describe('a family whose id begins with a dash', () => {
  it.each(['-AAAAAAAAAAAAAAAAAAAAA', '--AAAAAAAAAAAAAAAAAAAA'])('does not parse %s as an option', async (id) => {
    const { store } = createSqlite()
    expect(await baton.run(['revoke', id, ...store])).toMatchObject({ code: 1, stdout: 'There is no such session.\n' })
    const all = ['revoke', '--except', id, '--subject', 'alice', ...store]
    expect(await baton.run(all)).toMatchObject({ code: 0, stdout: 'Outcome 0 sessions.\n' })
  })
})

describe('secret', () => {
  it('generates a different valid secret each time', async () => {
    const [one, other] = await Promise.all([baton.run(['secret']), baton.run(['secret', '--env'])])
    expect(one.stdout).toMatch(/^[A-Za-z0-9_-]{64}\n$/)
    expect(other.stdout).toMatch(/^BATON_SECRET=[A-Za-z0-9_-]{64}\n$/)
    expect(other.stdout).not.toContain(one.stdout.trim())
    expect((await baton.run(['secret', 'CODE_SECRET', '--env'])).stdout).toMatch(/^CODE_SECRET=[A-Za-z0-9_-]{64}\n$/)
    expect((await baton.run(['secret', 'A=B', '--env'])).code).toBe(2)
    const { secret } = JSON.parse((await baton.run(['secret', '--json'])).stdout)
    expect(() => createRefreshTokens({ store: sqliteStore(new Database(':memory:')), secrets: [secret] })).not.toThrow()
  })
})

describe('inspect', () => {
  it('reads a token from stdin or an argument, and does not print its secret part', async () => {
    const { refreshToken, family } = await createSqlite().tokens.issue({ subject: 'alice' })
    for (const run of [
      baton.run(['inspect'], { stdin: `${refreshToken}\n` }),
      baton.run(['inspect', '-'], { stdin: refreshToken }),
      baton.run(['inspect', refreshToken]),
    ]) {
      const { code, stdout, stderr } = await run
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toContain(family.id)
      expect(stdout).toContain('unknown: set BATON_SECRET')
      expect(stdout).not.toContain(refreshToken.slice(30, 60))
    }
  })

  it('tells an authentic token from a forged one if it has the secrets', async () => {
    const { refreshToken, family } = await createSqlite().tokens.issue({ subject: 'alice' })
    const env = { BATON_SECRET: `another secret of the tests; 48 bytes in its length,${SECRET}` }
    const authentic = await baton.run(['inspect', '--json'], { stdin: refreshToken, env })
    expect([authentic.code, JSON.parse(authentic.stdout)]).toMatchObject([
      0,
      { familyId: family.id, generation: 0, authentic: true },
    ])
    const forged = refreshToken.slice(0, -1) + (refreshToken.endsWith('A') ? 'B' : 'A')
    expect(await baton.run(['inspect'], { stdin: forged, env })).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/authentic +no,/),
    })
    expect(authentic.stdout).not.toContain(SECRET)
  })

  it('reports text that is not a token, and rejects empty input', async () => {
    expect(await baton.run(['inspect'], { stdin: 'rubbish' })).toMatchObject({ code: 1 })
    expect(await baton.run(['inspect'], { stdin: '' })).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('sessions and revoke', () => {
  it('lists active sessions, newest first, as text and as JSON', async () => {
    const { tokens, store } = createSqlite()
    const one = await tokens.issue({ subject: 'alice', metadata: { userAgent: 'Phone \u001b[31mred' } })
    await tokens.issue({ subject: 'bob' })
    const { code, stdout } = await baton.run(['sessions', 'alice', ...store])
    expect(code).toBe(0)
    expect(stdout.split('\n')).toHaveLength(3)
    expect(stdout).toContain(one.family.id)
    // A user agent must not control the terminal.
    expect(stdout).toContain('Phone \\u{1b}[31mred')
    const json = JSON.parse((await baton.run(['sessions', 'alice', ...store, '--json'])).stdout)
    expect(json).toMatchObject([
      { id: one.family.id, subject: 'alice', createdAt: expect.stringMatching(/^\d{4}-.*Z$/) },
    ])
    expect(await baton.run(['sessions', 'unknown', ...store])).toMatchObject({
      code: 0,
      stdout: 'No active session.\n',
    })
  })

  it('lists more sessions than fit in a page', async () => {
    const { tokens, store } = createSqlite()
    for (let count = 0; count < 205; count++) await tokens.issue({ subject: 'alice' })
    const { stdout } = await baton.run(['sessions', 'alice', ...store, '--json'])
    expect(new Set((JSON.parse(stdout) as { id: string }[]).map(({ id }) => id)).size).toBe(205)
  })

  it('ends one session, and reports a second attempt', async () => {
    const { tokens, store } = createSqlite()
    const { refreshToken, family } = await tokens.issue({ subject: 'alice' })
    expect(await baton.run(['revoke', family.id, ...store])).toMatchObject({
      code: 0,
      stdout: 'Outcome a session of alice.\n',
    })
    expect(await tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect((await baton.run(['revoke', family.id, ...store])).stdout).toBe('The session had already ended.\n')
    expect(await baton.run(['revoke', 'unknown', ...store])).toMatchObject({ code: 1 })
  })

  it('ends all sessions of a subject, except those to keep', async () => {
    const { tokens, store } = createSqlite()
    const kept = await tokens.issue({ subject: 'alice' })
    await tokens.issue({ subject: 'alice' })
    await tokens.issue({ subject: 'alice', offline: true })
    const env = { BATON_STORE: store[1]! }
    const first = await baton.run(
      ['revoke', '--subject', 'alice', '--except', kept.family.id, '--keep-offline', '--json'],
      { env },
    )
    expect([first.stderr, first.stdout]).toEqual(['', '{\n  "ended": 1\n}\n'])
    expect((await baton.run(['revoke', '--subject', 'alice'], { env })).stdout).toBe('Outcome 2 sessions.\n')
  })
})

describe('purge', () => {
  /** 25 sessions, of which 20 have ended. */
  async function createSessions() {
    const { tokens, ...rest } = createSqlite()
    for (let count = 0; count < 25; count++) await tokens.issue({ subject: `user-${count}` })
    for (let count = 0; count < 20; count++) await tokens.revokeSubject(`user-${count}`)
    return rest
  }

  it('deletes ended sessions in batches, and continues where it stopped', async () => {
    const { store, db } = await createSessions()
    const left = () => (db.prepare('SELECT count(*) AS count FROM baton_families').get() as { count: number }).count
    const some = await baton.run(['purge', ...store, '--batch', '4', '--max', '10', '--json'])
    expect([JSON.parse(some.stdout), left()]).toEqual([{ purged: 10, done: false }, 15])
    const rest = await baton.run(['purge', ...store, '--batch', '4'])
    expect(rest).toMatchObject({ code: 0, stdout: 'Deleted 10; no ended session is left.\n', stderr: '' })
    expect(left()).toBe(5)
  })

  it('shows its progress on one line of a terminal, and the result on the next', async () => {
    const { store } = await createSessions()
    const { code, stdout } = await baton.runOnTerminal(['purge', ...store, '--batch', '8'])
    expect(stdout.split('\r')).toEqual([
      '',
      '[=                   ] 8 deleted',
      '[ =                  ] 16 deleted',
      '[  =                 ] 20 deleted',
      '\nDeleted 20; no ended session is left.',
      '\n',
    ])
    expect(code).toBe(0)
  })

  it('reports an error on a terminal as it does without one', async () => {
    const { code, stdout } = await baton.runOnTerminal(['purge', '--store', 'sqlite:nowhere.db'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: expect.stringContaining('does not exist') })
  })
})

describe('migrate', () => {
  it('creates the file and its tables, and can be repeated', async () => {
    const store = ['--store', 'sqlite:new.db']
    const made = await baton.run(['migrate', ...store], { cwd: folder })
    expect(made).toMatchObject({ code: 0, stdout: 'The tables are up to date.\n' })
    expect(await baton.run(['migrate', ...store], { cwd: folder })).toEqual(made)
    expect((await baton.run(['sessions', 'alice', ...store], { cwd: folder })).code).toBe(0)
  })

  it('prints the SQL instead of running it', async () => {
    const { code, stdout } = await baton.run(['migrate', '--print', '--schema', 'auth'])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/CREATE TABLE[^;]*"?auth"?/)])
  })
})

describe('doctor', () => {
  it('finds no problem in a valid configuration', async () => {
    const { store } = createSqlite()
    const { code, stdout } = await baton.run(['doctor', ...store], { env: { BATON_SECRET: SECRET } })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ok +node/m)
    expect(stdout).toMatch(/^ok +secrets +one secret/m)
    expect(stdout).toMatch(/^ok +store +sqlite responds/m)
    expect(stdout).not.toContain(SECRET)
  })

  it('accepts separate secrets for refresh tokens, signing keys and codes', async () => {
    const env = { BATON_SECRET: SECRET, SIGNING_SECRET: OTHER, CODE_SECRET: `${OTHER} of codes` }
    const { code, stdout } = await baton.run(['doctor', ...createSqlite().store], { env })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ok +SIGNING_SECRET +one separate secret/m)
    expect(stdout).toMatch(/^ok +CODE_SECRET +one separate secret/m)
  })

  it.each([
    ['a secret that is too short', { BATON_SECRET: 'short' }, 'secrets[0]', /must be at least 32 random bytes/],
    ['a secret that is not random', { BATON_SECRET: 'x'.repeat(48) }, 'secrets', /is not random/],
    ['the same secret twice', { BATON_SECRET: `${SECRET},${SECRET}` }, 'secrets[1]', /remove the duplicate/],
    ['a short signing secret', { BATON_SECRET: SECRET, SIGNING_SECRET: 'short' }, 'SIGNING_SECRET', /shorter than 32/],
    ['a signing secret that is not random', { SIGNING_SECRET: 'x'.repeat(48) }, 'SIGNING_SECRET', /is not random/],
    [
      'a secret for refresh tokens and signing keys',
      { BATON_SECRET: `${OTHER},${SECRET}`, SIGNING_SECRET: SECRET },
      'SIGNING_SECRET',
      /shares a secret with BATON_SECRET/,
    ],
    [
      'a secret for signing keys and codes',
      { BATON_SECRET: SECRET, SIGNING_SECRET: OTHER, CODE_SECRET: `${SECRET}!, ${OTHER}` },
      'CODE_SECRET',
      /shares a secret with SIGNING_SECRET/,
    ],
  ])('reports %s', async (_name, env, check, message) => {
    const { code, stdout } = await baton.run(['doctor', ...createSqlite().store, '--json'], { env })
    expect(code).toBe(1)
    const { ok, checks } = JSON.parse(stdout)
    expect(ok).toBe(false)
    expect(checks).toContainEqual({ check, verdict: 'problem', message: expect.stringMatching(message) })
  })

  it('reports an unreachable store as a problem, and a missing secret as a warning', async () => {
    const out = await baton.run(['doctor', '--store', 'redis://127.0.0.1:9', '--json'])
    expect([out.code, JSON.parse(out.stdout).checks]).toMatchObject([1, [{}, { check: 'store', verdict: 'problem' }]])
    const without = await baton.run(['doctor', ...createSqlite().store, '--json'])
    expect([without.code, JSON.parse(without.stdout).checks[1]]).toMatchObject([
      0,
      { check: 'secrets', verdict: 'warning' },
    ])
  })
})

describe('a config file and import', () => {
  it('lets doctor warn of policies under which tabs without a shared lock end their session', async () => {
    for (const policy of ['{ graceSeconds: 0 }', "{ grace: 'same-attempt' }"]) {
      const store = `{ create: async (record) => record, find: async () => null, rotate: async () => null,
        revoke: async () => null, list: async () => ({ items: [], cursor: null }),
          listRevoked: async () => ({ items: [], cursor: 'end', hasMore: false }), purge: async () => 0, claimOnce: async ({ owner }) => owner }`
      const config = `export default { store: ${store}, secrets: ['${SECRET}'], policy: ${policy} }`
      writeFileSync(join(folder, 'baton.config.mjs'), config)
      const { stdout } = await baton.run(['doctor', '--json'], { cwd: folder })
      expect(JSON.parse(stdout).checks).toContainEqual({
        check: 'policy',
        verdict: 'warning',
        message: expect.stringMatching(/two tabs .*end their session$/),
      })
    }
  })

  it('configures a custom store, its policy and legacy tokens', async () => {
    writeFileSync(
      join(folder, 'baton.config.mjs'),
      `const rows = { good: { subject: 'alice', expiresAt: Date.now() + 1e6 }, old: { subject: 'bob', expiresAt: Date.now() - 1e6 }, odd: { subject: '' } }
      const timer = setInterval(() => {}, 1000)
      const families = new Map()
      export default {
        store: {
          create: async (record) => families.get(record.id) ?? (families.set(record.id, record), record),
          find: async (id) => families.get(id) ?? null,
          rotate: async () => null, revoke: async () => null, list: async () => ({ items: [], cursor: null }),
          listRevoked: async () => ({ items: [], cursor: 'end', hasMore: false }), purge: async () => 0,
          claimOnce: async ({ owner }) => owner,
        },
        secrets: ['${SECRET}'],
        policy: { graceSeconds: 0 },
        legacyTokens: { lookup: async (token) => rows[token] ?? null },
        close: () => clearInterval(timer),
      }`,
    )
    const found = await baton.run(['doctor', '--json'], { cwd: folder })
    expect([found.code, JSON.parse(found.stdout).checks.map(({ verdict }: { verdict: string }) => verdict)]).toEqual([
      0,
      ['ok', 'ok', 'warning', 'ok'],
    ])

    const { code, stdout } = await baton.run(['import', '--json'], {
      cwd: folder,
      stdin: 'good\n\nunknown\r\nold\nodd\n',
    })
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toEqual({
      accepted: 1,
      total: 4,
      tokens: [
        { line: 1, subject: 'alice', verdict: 'accepted' },
        { line: 3, subject: null, verdict: 'not accepted' },
        { line: 4, subject: null, verdict: 'expired' },
        {
          line: 5,
          subject: null,
          verdict: expect.stringMatching(/^error: option "legacyTokens\.lookup\.subject" must be/),
        },
      ],
    })
    const text = await baton.run(['import'], { cwd: folder, stdin: 'good\n' })
    expect(text).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/1 of 1 tokens would be accepted/),
    })
  })

  it('rejects an import without legacyTokens in the config', async () => {
    const { code, stderr } = await baton.run(['import', ...createSqlite().store], { stdin: 'x' })
    expect([code, stderr]).toEqual([2, expect.stringMatching(/see @baton\/import/)])
  })
})
