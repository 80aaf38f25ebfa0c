import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { deriveSigningKey } from '@baton/http'
import { buildProgram, temporaryFolder } from '@baton/test-processes'
import { freePort, sampled, startPostgres, startRedis } from '@baton/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Baton, buildBaton } from './baton.js'

const packages = fileURLToPath(new URL('../../', import.meta.url))
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
const EXTERNAL = [
  'better-sqlite3',
  'ioredis',
  'pg',
  'express',
  'koa',
  '@koa/router',
  'fastify',
  'hono',
  '@hono/node-server',
]

const FRAMEWORKS = ['express', 'koa', 'fastify', 'hono']
const STORES = ['sqlite', 'redis', 'postgres', 'memory']
const ALL = FRAMEWORKS.flatMap((framework) => STORES.map((store) => [framework, store] as const))
const CHOSEN = [
  ['express', 'sqlite'],
  ['hono', 'postgres'],
] as const
/** BATON_SCAFFOLDS=all tests every combination, which takes minutes. */
const COMBINATIONS =
  process.env['BATON_SCAFFOLDS'] === 'all' ? ALL : sampled(CHOSEN, ([framework]) => framework === 'express')

let baton: Baton

beforeAll(async () => {
  baton = await buildBaton(import.meta.url)
})
afterAll(() => {
  baton.remove()
})

/** Starts the database server that a scaffold needs. `env` has its address. */
async function startStoreServer(store: string): Promise<{ env: Record<string, string>; stop(): Promise<void> }> {
  if (store === 'redis') {
    const server = await startRedis({})
    return { env: { REDIS_URL: server.url }, stop: () => server.stop() }
  }
  if (store === 'postgres') {
    const server = await startPostgres()
    return { env: { DATABASE_URL: server.url }, stop: () => server.stop() }
  }
  return { env: {}, stop: async () => undefined }
}

/** Checks types against the sources instead of installed declarations. */
function checkTypes(folder: string): void {
  const paths = { '@baton/*': [`${packages}*/src/index.ts`], '@baton/core/*': [`${packages}core/src/*.ts`] }
  const config = { extends: './tsconfig.json', compilerOptions: { noEmit: true, rootDir: '/', paths } }
  writeFileSync(join(folder, 'tsconfig.check.json'), JSON.stringify(config))
  try {
    execFileSync(process.execPath, [tsc, '-p', 'tsconfig.check.json'], { cwd: folder, encoding: 'utf8' })
  } catch (failure) {
    throw new Error((failure as { stdout: string }).stdout, { cause: failure })
  }
}

/** Starts the scaffold's server with its .env on a free port and calls `use` with its origin. */
async function withServer(
  program: string,
  { folder, env }: { folder: string; env: Record<string, string> },
  use: (origin: string) => Promise<void>,
): Promise<void> {
  const port = await freePort()
  const child = spawn(process.execPath, ['--env-file=.env', program], {
    cwd: folder,
    env: { PATH: process.env['PATH'], PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const [line] = (await Promise.race([
      once(createInterface({ input: child.stdout }), 'line'),
      once(child, 'exit').then(([code]) => {
        throw new Error(`the server exited with ${String(code)}`)
      }),
    ])) as [string]
    expect(line).toBe(`listening on http://127.0.0.1:${String(port)}`)
    await use(`http://127.0.0.1:${String(port)}`)
  } finally {
    if (child.exitCode === null) {
      child.kill()
      await once(child, 'exit')
    }
  }
}

function readEnv(folder: string): Record<string, string | undefined> {
  const lines = readFileSync(join(folder, '.env'), 'utf8').split('\n')
  return Object.fromEntries(lines.map((line) => line.split('=', 2)))
}

async function signInAndOut(origin: string, folder: string): Promise<void> {
  const login = (password: string) =>
    fetch(`${origin}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'alice', password }),
    })
  expect((await login('wrong')).status).toBe(401)
  const signedIn = await login('wonderland')
  expect(signedIn.status).toBe(200)
  const getCookie = (response: Response) => response.headers.getSetCookie()[0]!.split(';')[0]!
  const refresh = (cookie: string) =>
    fetch(`${origin}/auth/refresh`, { method: 'POST', headers: { cookie, origin, 'x-baton': '1' } })
  const refreshed = await refresh(getCookie(signedIn))
  expect(refreshed.status).toBe(200)
  expect(getCookie(refreshed)).not.toBe(getCookie(signedIn))
  const { access_token } = (await refreshed.json()) as { access_token: string }
  const { BATON_SECRET, SIGNING_SECRET } = readEnv(folder)
  expect(SIGNING_SECRET).not.toBe(BATON_SECRET)
  const header: unknown = JSON.parse(Buffer.from(access_token.split('.')[0]!, 'base64url').toString())
  expect(header).toMatchObject({ kid: deriveSigningKey(SIGNING_SECRET)['kid'] })
  const headers = { authorization: `Bearer ${access_token}` }
  expect(await (await fetch(`${origin}/api/me`, { headers })).json()).toEqual({ sub: 'user-1' })
  const { sessions } = (await (await fetch(`${origin}/auth/sessions`, { headers })).json()) as { sessions: unknown[] }
  expect(sessions).toHaveLength(1)
  const out = await fetch(`${origin}/auth/logout`, {
    method: 'POST',
    headers: { cookie: getCookie(refreshed), origin, 'x-baton': '1' },
  })
  expect(out.status).toBe(204)
  expect((await refresh(getCookie(refreshed))).status).toBe(401)
}

describe('init', () => {
  it.each(COMBINATIONS)(
    'creates a project with %s and %s that compiles, starts, and signs in, refreshes and signs out',
    async (framework, store) => {
      const folder = temporaryFolder(import.meta.url, 'scaffold')
      const server = await startStoreServer(store)
      try {
        const created = await baton.run(['init', '--framework', framework, '--store', store], { cwd: folder })
        expect([created.code, created.stderr]).toEqual([0, ''])
        checkTypes(folder)
        const built = await buildProgram(import.meta.url, { entry: join(folder, 'src/server.ts'), external: EXTERNAL })
        await withServer(built.path, { folder, env: server.env }, (origin) => signInAndOut(origin, folder))
        built.remove()
      } finally {
        await server.stop()
        rmSync(folder, { recursive: true })
      }
    },
  )

  it('creates secrets that only the owner can read, and a package with its dependencies', async () => {
    const folder = temporaryFolder(import.meta.url, 'scaffold')
    try {
      const args = ['init', 'My App', '--framework', 'koa', '--store', 'redis', '--json']
      const { code, stdout } = await baton.run(args, { cwd: folder })
      expect(code).toBe(0)
      const { files } = JSON.parse(stdout) as { files: string[] }
      const project = join(folder, 'My App')
      for (const file of files) expect(existsSync(join(project, file))).toBe(true)
      expect(statSync(join(project, '.env')).mode & 0o777).toBe(0o600)
      const { name, dependencies } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'))
      expect([name, Object.keys(dependencies)]).toEqual([
        'my-app',
        ['@baton/core', '@baton/http', '@baton/koa', '@baton/store-redis', '@koa/router', 'ioredis', 'koa'],
      ])
      const { BATON_SECRET: secret = '', SIGNING_SECRET = '' } = readEnv(project)
      expect([secret.length, SIGNING_SECRET.length]).toEqual([64, 64])
      expect(SIGNING_SECRET).not.toBe(secret)
      for (const each of [secret, SIGNING_SECRET]) expect(stdout).not.toContain(each)

      const again = await baton.run(args, { cwd: folder })
      expect([again.code, again.stderr]).toEqual([
        2,
        expect.stringMatching(/nothing was written: package\.json, .* already exist/),
      ])
      expect(readFileSync(join(project, '.env'), 'utf8')).toContain(secret)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
