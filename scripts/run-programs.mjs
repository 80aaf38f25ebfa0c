import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ts from 'typescript'
import { root } from './bootstrap.mjs'
import { providePrograms } from './system-programs.mjs'
import { publishedPackages } from './tarballs.mjs'

const CONCURRENCY = 3
const TIMEOUT_MS = 60_000
/** An evaluated program with open connections is ended after this time. */
const IDLE_MS = 500

/**
 * Runs complete programs from the documentation against real servers. A program without a server must exit with 0; a
 * server must let a user sign in. Resolves to the failures.
 */
export async function runPrograms(programs) {
  await providePrograms(['Redis or Valkey'])
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
    await Promise.all(Array.from({ length: CONCURRENCY }, work))
  } finally {
    rmSync(folder, { recursive: true })
    rmSync(data, { recursive: true })
    await Promise.all([redis.stop(), postgres.stop()])
  }
  return failures
}

/**
 * Creates a directory in which programs find the packages of this repository and the dependencies of the documentation.
 */
function emptyProject() {
  const folder = mkdtempSync(join(root, 'docs/.programs-'))
  const modules = join(folder, 'node_modules/@baton')
  mkdirSync(modules, { recursive: true })
  for (const name of publishedPackages()) symlinkSync(join(root, 'packages', name), join(modules, name), 'junction')
  return folder
}

/** All environment variables that the documentation reads. */
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

/** Resolves to a description of the failure, or null. */
async function runProgram(file, { serves, ...options }) {
  const child = fork(join(root, 'scripts/run-program.mjs'), [file], { ...options, silent: true })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)))
  const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS)
  try {
    if (!serves) endAfterIdle(child)
    const port = await Promise.race([ended.then(() => null), ...(serves ? [waitForPort(child)] : [])])
    const problem = port === null ? describeExit(child.exitCode, serves) : await signIn(port)
    return problem === null ? null : `${problem}\n${output}`
  } catch (error) {
    return `${error.message}\n${output}`
  } finally {
    clearTimeout(timer)
    child.kill('SIGKILL')
    await ended
  }
}

function describeExit(code, serves) {
  if (code !== 0) return `exited with ${code}`
  return serves ? 'exited instead of listening' : null
}

/** Resolves once the program listens. */
function waitForPort(child) {
  return new Promise((resolve) => child.on('message', ({ port }) => port !== undefined && resolve(port)))
}

/** Ends a program that keeps connections open after its work. */
function endAfterIdle(child) {
  child.on('message', ({ evaluated }) => {
    if (evaluated) setTimeout(() => child.connected && child.send({ end: true }), IDLE_MS)
  })
}

/**
 * Runs the steps of every quick start: sign in (at `/login`, or at the default path `/auth/login`), refresh with the cookie, call the API. Resolves to a description of the
 * failure, or null.
 */
async function signIn(port) {
  const origin = `http://127.0.0.1:${port}`
  let page = origin
  const postLogin = (path) =>
    fetch(`${origin}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-baton': '1', origin: page },
      body: JSON.stringify({ username: 'alice', password: 'wonderland' }),
    })
  let login = await postLogin('/login')
  if (login.status === 404) {
    // A program with all endpoints accepts only pages of its issuer.
    page = 'http://localhost:3000'
    login = await postLogin('/auth/login')
  }
  if (login.status !== 200) return `the login response is ${login.status}`
  const cookie = login.headers.getSetCookie().map((line) => line.split(';')[0])
  const refresh = await fetch(`${origin}/auth/refresh`, {
    method: 'POST',
    headers: { 'x-baton': '1', origin: page, cookie: cookie.join('; ') },
  })
  if (refresh.status !== 200) return `the refresh response is ${refresh.status}`
  const { access_token: accessToken } = await refresh.json()
  const me = await fetch(`${origin}/api/me`, { headers: { authorization: `Bearer ${accessToken}` } })
  return me.status === 200 ? null : `the API response is ${me.status}`
}
