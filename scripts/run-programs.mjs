import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { root } from './bootstrap.mjs'
import { provideParts } from './system-parts.mjs'
import { publishedPackages } from './tarballs.mjs'

const AT_ONCE = 3
const MOST_MS = 60_000
/** How long an evaluated program may hold connections open before it is ended: it has shown what it had to show. */
const IDLE_MS = 500

/**
 * Runs whole programs as their readers would, against real servers: one that ends has to end well, one that listens has to let
 * people in. Resolves to what failed.
 */
export async function runPrograms(programs) {
  await provideParts(['Redis or Valkey'])
  const { startPostgres, startRedis } = await import('../internal/test-servers/dist/index.js')
  const [redis, postgres] = await Promise.all([startRedis({}), startPostgres({ settings: { fsync: 'off' } })])
  const folder = emptyProject()
  const data = mkdtempSync(join(tmpdir(), 'baton-programs-'))
  const failures = []
  try {
    await postgres.pool().query('CREATE TABLE users (id text PRIMARY KEY)')
    const waiting = [...programs.entries()]
    const env = { ...process.env, ...environment({ redis, postgres }) }
    const work = async () => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const [index, { text, at }] = next
        const file = join(folder, `program-${index}.mjs`)
        writeFileSync(file, ts.transpile(text, { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 }))
        const problem = await runProgram(file, { serves: /\b(listen|serve)\(/.test(text), env, cwd: data })
        if (problem !== null) failures.push(`${at} ${problem}`)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
  } finally {
    rmSync(folder, { recursive: true })
    rmSync(data, { recursive: true })
    await Promise.all([redis.stop(), postgres.stop()])
  }
  return failures
}

/** A folder in which a program finds our packages, and whatever else the documentation installs in its own. */
function emptyProject() {
  const folder = mkdtempSync(join(root, 'docs/.programs-'))
  const modules = join(folder, 'node_modules/@baton')
  mkdirSync(modules, { recursive: true })
  for (const name of publishedPackages()) symlinkSync(join(root, 'packages', name), join(modules, name), 'junction')
  return folder
}

/** Everything that the documentation reads from the environment. */
function environment({ redis, postgres }) {
  const { username, password, pathname } = new URL(postgres.url)
  const secrets = [
    'BATON_SECRET',
    'BATON_SECRET_NEXT',
    'SIGNING_SECRET',
    'SIGNING_SECRET_NEXT',
    'CODE_SECRET',
    'BACKEND_SECRET',
  ]
  return {
    ...Object.fromEntries(secrets.map((name) => [name, randomBytes(32).toString('hex')])),
    REDIS_URL: redis.url,
    DATABASE_URL: postgres.url,
    PGHOST: postgres.host,
    PGPORT: String(postgres.port),
    PGUSER: username,
    PGPASSWORD: password,
    PGDATABASE: pathname.slice(1),
  }
}

/** Resolves to what went wrong, or null. */
async function runProgram(file, { serves, ...options }) {
  const child = fork(join(root, 'scripts/run-program.mjs'), [file], { ...options, silent: true })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
  const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)))
  const tooLate = setTimeout(() => child.kill('SIGKILL'), MOST_MS)
  try {
    if (!serves) endOnceDone(child)
    const port = await Promise.race([ended.then(() => null), ...(serves ? [portOf(child)] : [])])
    const problem = port === null ? judge(child.exitCode, serves) : await signIn(port)
    return problem === null ? null : `${problem}\n${said}`
  } catch (error) {
    return `${error.message}\n${said}`
  } finally {
    clearTimeout(tooLate)
    child.kill('SIGKILL')
    await ended
  }
}

function judge(code, serves) {
  if (code !== 0) return `ended with ${code}`
  return serves ? 'ended instead of listening' : null
}

/** Resolves once the program listens. */
function portOf(child) {
  return new Promise((resolve) => child.on('message', ({ port }) => port !== undefined && resolve(port)))
}

/** A program that has done its work, and keeps connections open, would never end by itself. */
function endOnceDone(child) {
  child.on('message', ({ evaluated }) => {
    if (evaluated) setTimeout(() => child.connected && child.send({ end: true }), IDLE_MS)
  })
}

/** The story of every quick start: sign in, refresh with the cookie, ask the API. Resolves to what went wrong, or null. */
async function signIn(port) {
  const origin = `http://127.0.0.1:${port}`
  const login = await fetch(`${origin}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-baton': '1', origin },
    body: JSON.stringify({ username: 'alice', password: 'wonderland' }),
  })
  if (login.status !== 200) return `answers ${login.status} to the sign-in`
  const cookie = login.headers.getSetCookie().map((line) => line.split(';')[0])
  const refresh = await fetch(`${origin}/auth/refresh`, {
    method: 'POST',
    headers: { 'x-baton': '1', origin, cookie: cookie.join('; ') },
  })
  if (refresh.status !== 200) return `answers ${refresh.status} to the refresh`
  const { access_token: accessToken } = await refresh.json()
  const me = await fetch(`${origin}/api/me`, { headers: { authorization: `Bearer ${accessToken}` } })
  return me.status === 200 ? null : `answers ${me.status} to a request with its access token`
}
