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

/** A file of SQLite with tokens over it, and how the program is told of it. */
function sqlite() {
  const path = join(folder, 'sessions.db')
  const db = new Database(path)
  const tokens = createRefreshTokens({ store: sqliteStore(db), secrets: [SECRET] })
  return { tokens, db, store: ['--store', `sqlite:${path}`] }
}

describe('the command line itself', () => {
  it('tells what there is, and what each command takes', async () => {
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
    [['sesions', 'alice'], /there is no command "sesions"; did you mean sessions\?/],
    [['purge', '--bach', '5'], /did you mean --batch\?/],
    [['purge', '--batch', 'many'], /--batch many is not a whole number/],
    [['sessions'], /whose sessions\?/],
    [['sessions', 'alice', 'bob'], /"bob" is too much/],
    [['sessions', 'alice'], /which store\? give --store/],
    [['sessions', 'alice', '--store', 'mysql://user:hunter2@host'], /not as mysql:/],
    [['sessions', 'alice', '--store', 'sqlite:nowhere.db'], /there is no file .*nowhere\.db; baton migrate makes it/],
    [['revoke'], /what is to end\?/],
    [['doctor', '--config', 'nowhere.js'], /there is no file nowhere\.js/],
    [['init', '--framework', 'expres'], /--framework expres is none of .*; did you mean express\?/],
  ])('%j is wrong usage, and it says how', async (args, message) => {
    const { code, stdout, stderr } = await baton.run(args, { cwd: folder })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/hunter2|\n {4}at /)
  })

  it('a store that cannot be reached is a fault, without the password', async () => {
    // The discard port of this machine: nobody listens.
    for (const url of ['redis://:hunter2@127.0.0.1:9', 'postgres://me:hunter2@127.0.0.1:9/db']) {
      const { code, stderr } = await baton.run(['sessions', 'alice', '--store', url])
      expect(code).toBe(3)
      expect(stderr).toMatch(/^baton: /)
      expect(stderr).not.toMatch(/hunter2|\n {4}at /)
    }
  })
})

describe('a family whose id begins with a dash', () => {
  it.each(['-AAAAAAAAAAAAAAAAAAAAA', '--AAAAAAAAAAAAAAAAAAAA'])('%s is no option', async (id) => {
    const { store } = sqlite()
    expect(await baton.run(['revoke', id, ...store])).toMatchObject({ code: 1, stdout: 'There is no such session.\n' })
    const all = ['revoke', '--except', id, '--subject', 'alice', ...store]
    expect(await baton.run(all)).toMatchObject({ code: 0, stdout: 'Ended 0 sessions.\n' })
  })
})

describe('secret', () => {
  it('makes one that createRefreshTokens takes, another each time', async () => {
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
  it('reads a token from stdin or as an argument, and prints no secret of it', async () => {
    const { refreshToken, family } = await sqlite().tokens.issue({ subject: 'alice' })
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

  it('with secrets tells a genuine one from a forgery', async () => {
    const { refreshToken, family } = await sqlite().tokens.issue({ subject: 'alice' })
    const env = { BATON_SECRET: `another secret of the tests; 48 bytes in its length,${SECRET}` }
    const genuine = await baton.run(['inspect', '--json'], { stdin: refreshToken, env })
    expect([genuine.code, JSON.parse(genuine.stdout)]).toMatchObject([
      0,
      { familyId: family.id, generation: 0, authentic: true },
    ])
    const forged = refreshToken.slice(0, -1) + (refreshToken.endsWith('A') ? 'B' : 'A')
    expect(await baton.run(['inspect'], { stdin: forged, env })).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/genuine +no,/),
    })
    expect(genuine.stdout).not.toContain(SECRET)
  })

  it('what is no token is told, and nothing is usage', async () => {
    expect(await baton.run(['inspect'], { stdin: 'rubbish' })).toMatchObject({ code: 1 })
    expect(await baton.run(['inspect'], { stdin: '' })).toMatchObject({ code: 2, stdout: '' })
  })
})

describe('sessions and revoke', () => {
  it('lists the living ones, newest first, for people and for programs', async () => {
    const { tokens, store } = sqlite()
    const one = await tokens.issue({ subject: 'alice', metadata: { userAgent: 'Phone \u001b[31mred' } })
    await tokens.issue({ subject: 'bob' })
    const { code, stdout } = await baton.run(['sessions', 'alice', ...store])
    expect(code).toBe(0)
    expect(stdout.split('\n')).toHaveLength(3)
    expect(stdout).toContain(one.family.id)
    // What a user agent calls itself must not command the terminal.
    expect(stdout).toContain('Phone \\u{1b}[31mred')
    const json = JSON.parse((await baton.run(['sessions', 'alice', ...store, '--json'])).stdout)
    expect(json).toMatchObject([
      { id: one.family.id, subject: 'alice', createdAt: expect.stringMatching(/^\d{4}-.*Z$/) },
    ])
    expect(await baton.run(['sessions', 'nobody', ...store])).toMatchObject({ code: 0, stdout: 'No living session.\n' })
  })

  it('lists more than a page', async () => {
    const { tokens, store } = sqlite()
    for (let count = 0; count < 205; count++) await tokens.issue({ subject: 'alice' })
    const { stdout } = await baton.run(['sessions', 'alice', ...store, '--json'])
    expect(new Set((JSON.parse(stdout) as { id: string }[]).map(({ id }) => id)).size).toBe(205)
  })

  it('ends one, and says so only once', async () => {
    const { tokens, store } = sqlite()
    const { refreshToken, family } = await tokens.issue({ subject: 'alice' })
    expect(await baton.run(['revoke', family.id, ...store])).toMatchObject({
      code: 0,
      stdout: 'Ended a session of alice.\n',
    })
    expect(await tokens.rotate({ refreshToken })).toEqual({ ok: false, reason: 'revoked' })
    expect((await baton.run(['revoke', family.id, ...store])).stdout).toBe('It had ended before.\n')
    expect(await baton.run(['revoke', 'unknown', ...store])).toMatchObject({ code: 1 })
  })

  it('ends all of a subject, but not what is to stay', async () => {
    const { tokens, store } = sqlite()
    const kept = await tokens.issue({ subject: 'alice' })
    await tokens.issue({ subject: 'alice' })
    await tokens.issue({ subject: 'alice', offline: true })
    const env = { BATON_STORE: store[1]! }
    const first = await baton.run(
      ['revoke', '--subject', 'alice', '--except', kept.family.id, '--keep-offline', '--json'],
      { env },
    )
    expect([first.stderr, first.stdout]).toEqual(['', '{\n  "ended": 1\n}\n'])
    expect((await baton.run(['revoke', '--subject', 'alice'], { env })).stdout).toBe('Ended 2 sessions.\n')
  })
})

describe('purge', () => {
  /** 25 sessions, of which 20 are over. */
  async function manySessions() {
    const { tokens, ...rest } = sqlite()
    for (let count = 0; count < 25; count++) await tokens.issue({ subject: `user-${count}` })
    for (let count = 0; count < 20; count++) await tokens.revokeSubject(`user-${count}`)
    return rest
  }

  it('deletes what is over, in batches, and goes on where it stopped', async () => {
    const { store, db } = await manySessions()
    const left = () => (db.prepare('SELECT count(*) AS count FROM baton_families').get() as { count: number }).count
    const some = await baton.run(['purge', ...store, '--batch', '4', '--most', '10', '--json'])
    expect([JSON.parse(some.stdout), left()]).toEqual([{ purged: 10, done: false }, 15])
    const rest = await baton.run(['purge', ...store, '--batch', '4'])
    expect(rest).toMatchObject({ code: 0, stdout: 'Deleted 10; nothing is left.\n', stderr: '' })
    expect(left()).toBe(5)
  })

  it('shows on a terminal how far it is, on one line, and what came of it on the next', async () => {
    const { store } = await manySessions()
    const { code, stdout } = await baton.runOnTerminal(['purge', ...store, '--batch', '8'])
    expect(stdout.split('\r')).toEqual([
      '',
      '[=                   ] 8 deleted',
      '[ =                  ] 16 deleted',
      '[  =                 ] 20 deleted',
      '\nDeleted 20; nothing is left.',
      '\n',
    ])
    expect(code).toBe(0)
  })

  it('says on a terminal what went wrong, and ends as it would without one', async () => {
    const { code, stdout } = await baton.runOnTerminal(['purge', '--store', 'sqlite:nowhere.db'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: expect.stringContaining('there is no file') })
  })
})

describe('migrate', () => {
  it('makes the file and its tables, and may be repeated', async () => {
    const store = ['--store', 'sqlite:new.db']
    const made = await baton.run(['migrate', ...store], { cwd: folder })
    expect(made).toMatchObject({ code: 0, stdout: 'The tables are there.\n' })
    expect(await baton.run(['migrate', ...store], { cwd: folder })).toEqual(made)
    expect((await baton.run(['sessions', 'alice', ...store], { cwd: folder })).code).toBe(0)
  })

  it('prints the SQL for those who run it themselves', async () => {
    const { code, stdout } = await baton.run(['migrate', '--print', '--schema', 'auth'])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/CREATE TABLE[^;]*"?auth"?/)])
  })
})

describe('doctor', () => {
  it('is content with a good set-up', async () => {
    const { store } = sqlite()
    const { code, stdout } = await baton.run(['doctor', ...store], { env: { BATON_SECRET: SECRET } })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ok +node/m)
    expect(stdout).toMatch(/^ok +secrets +one/m)
    expect(stdout).toMatch(/^ok +store +sqlite answers/m)
    expect(stdout).not.toContain(SECRET)
  })

  it('accepts separate secrets for refresh tokens, signing keys and codes', async () => {
    const env = { BATON_SECRET: SECRET, SIGNING_SECRET: OTHER, CODE_SECRET: `${OTHER} of codes` }
    const { code, stdout } = await baton.run(['doctor', ...sqlite().store], { env })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ok +SIGNING_SECRET +has one secret of its own/m)
    expect(stdout).toMatch(/^ok +CODE_SECRET +has one secret of its own/m)
  })

  it.each([
    ['a secret that is too short', { BATON_SECRET: 'short' }, 'secrets[0]', /must be at least 32 random bytes/],
    ['a secret that nobody drew', { BATON_SECRET: 'x'.repeat(48) }, 'secrets', /not made by chance/],
    ['the same secret twice', { BATON_SECRET: `${SECRET},${SECRET}` }, 'secrets[1]', /remove the duplicate/],
    ['a short signing secret', { BATON_SECRET: SECRET, SIGNING_SECRET: 'short' }, 'SIGNING_SECRET', /shorter than 32/],
    ['a signing secret that nobody drew', { SIGNING_SECRET: 'x'.repeat(48) }, 'SIGNING_SECRET', /not made by chance/],
    [
      'a secret for refresh tokens and signing keys',
      { BATON_SECRET: `${OTHER},${SECRET}`, SIGNING_SECRET: SECRET },
      'SIGNING_SECRET',
      /has a secret of BATON_SECRET/,
    ],
    [
      'a secret for signing keys and codes',
      { BATON_SECRET: SECRET, SIGNING_SECRET: OTHER, CODE_SECRET: `${SECRET}!, ${OTHER}` },
      'CODE_SECRET',
      /has a secret of SIGNING_SECRET/,
    ],
  ])('%s is a problem', async (_name, env, check, says) => {
    const { code, stdout } = await baton.run(['doctor', ...sqlite().store, '--json'], { env })
    expect(code).toBe(1)
    const { ok, checks } = JSON.parse(stdout)
    expect(ok).toBe(false)
    expect(checks).toContainEqual({ check, verdict: 'problem', says: expect.stringMatching(says) })
  })

  it('a store that is out is a problem, and a missing secret a warning', async () => {
    const out = await baton.run(['doctor', '--store', 'redis://127.0.0.1:9', '--json'])
    expect([out.code, JSON.parse(out.stdout).checks]).toMatchObject([1, [{}, { check: 'store', verdict: 'problem' }]])
    const without = await baton.run(['doctor', ...sqlite().store, '--json'])
    expect([without.code, JSON.parse(without.stdout).checks[1]]).toMatchObject([
      0,
      { check: 'secrets', verdict: 'warning' },
    ])
  })
})

describe('a config, and import', () => {
  it('doctor warns of policies under which tabs without a common lock end their session', async () => {
    for (const policy of ['{ graceSeconds: 0 }', "{ grace: 'same-attempt' }"]) {
      const store = `{ create: async (record) => record, find: async () => null, rotate: async () => null,
        revoke: async () => null, list: async () => ({ items: [], cursor: null }), purge: async () => 0, claimOnce: async ({ owner }) => owner }`
      const config = `export default { store: ${store}, secrets: ['${SECRET}'], policy: ${policy} }`
      writeFileSync(join(folder, 'baton.config.mjs'), config)
      const { stdout } = await baton.run(['doctor', '--json'], { cwd: folder })
      expect(JSON.parse(stdout).checks).toContainEqual({
        check: 'policy',
        verdict: 'warning',
        says: expect.stringMatching(/two tabs .*end their session$/),
      })
    }
  })

  it('names a store of one’s own, its policy, and what to accept', async () => {
    writeFileSync(
      join(folder, 'baton.config.mjs'),
      `const rows = { good: { subject: 'alice', expiresAt: Date.now() + 1e6 }, old: { subject: 'bob', expiresAt: Date.now() - 1e6 }, odd: { subject: '' } }
      const timer = setInterval(() => {}, 1000)
      const families = new Map()
      export default {
        store: {
          create: async (record) => families.get(record.id) ?? (families.set(record.id, record), record),
          find: async (id) => families.get(id) ?? null,
          rotate: async () => null, revoke: async () => null, list: async () => ({ items: [], cursor: null }), purge: async () => 0,
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
      good: 1,
      total: 4,
      tokens: [
        { line: 1, subject: 'alice', verdict: 'good' },
        { line: 3, subject: null, verdict: 'not accepted' },
        { line: 4, subject: null, verdict: 'expired' },
        {
          line: 5,
          subject: null,
          verdict: expect.stringMatching(/^fault: option "legacyTokens\.lookup\.subject" must be/),
        },
      ],
    })
    const text = await baton.run(['import'], { cwd: folder, stdin: 'good\n' })
    expect(text).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/1 of 1 would go on without signing in again/),
    })
  })

  it('import without something to accept says where to get it', async () => {
    const { code, stderr } = await baton.run(['import', ...sqlite().store], { stdin: 'x' })
    expect([code, stderr]).toEqual([2, expect.stringMatching(/see @baton\/import/)])
  })
})
