import { copyFileSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ExampleServer, runToItsEnd, startServer, temporaryFolder } from './server.js'

const APP = { name: 'client-native', store: 'memory' } as const
const SERVER = { name: 'koa-memory', store: 'memory' } as const

describe('client-native', () => {
  const folder = temporaryFolder()
  const sessionFile = join(folder.path, 'session.json')
  const keyFile = join(folder.path, 'key.json')
  let server: ExampleServer

  beforeAll(async () => {
    server = await startServer(SERVER, { ACCESS_SECONDS: '1' })
  })
  afterAll(async () => {
    await server.stop()
    folder.remove()
  })

  /** Runs the app. Opens each URL that it prints as the user alice and approves the request. */
  async function run(command?: string, file = sessionFile) {
    const visits = new Map<string, Promise<string>>()
    const { code, stdout, stderr } = await runToItsEnd(
      APP,
      { API: server.origin, SESSION_FILE: file, KEY_FILE: keyFile },
      {
        args: command === undefined ? [] : [command],
        onOutput(printed) {
          const [, url] = /^open (\S+)\n/m.exec(printed) ?? []
          if (url === undefined || visits.has(url)) return
          visits.set(
            url,
            fetch(`${url}&login=alice&approve=1`).then((page) => page.text()),
          )
        },
      },
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [page = null] = await Promise.all(visits.values())
    return { lines: stdout.trim().split('\n'), page }
  }

  it('signs in with the browser, refreshes, protects a copied session from an attacker, and signs out', async () => {
    const first = await run()
    expect(first.page).toBe('You are signed in. Go back to the app.\n')
    expect(first.lines).toContain('I am alice')

    const copy = join(folder.path, 'backup.json')
    copyFileSync(sessionFile, copy)
    const attack = await run('attacker', copy)
    expect(attack.lines).toEqual(['without a key: invalid_dpop_proof', 'with a key of the attacker: invalid_grant'])

    for (let refreshed = false; !refreshed;) {
      const { lines, page } = await run()
      expect({ page, lines }).toEqual({ page: null, lines: expect.arrayContaining(['I am alice']) })
      refreshed = lines.some((line) => line.startsWith('refreshed: generation '))
    }

    expect((await run('sign-out')).lines).toEqual(['signed out; the server has revoked the session'])
    expect((await run()).page).not.toBeNull()
  })

  it('stores the key apart from the session, and both readable by their owner only', () => {
    const { d } = JSON.parse(readFileSync(keyFile, 'utf8')) as { d: string }
    expect(d).toMatch(/^[\w-]{43}$/)
    expect(readFileSync(sessionFile, 'utf8')).not.toContain(d)
    expect([sessionFile, keyFile].map((file) => statSync(file).mode & 0o777)).toEqual([0o600, 0o600])
  })
})
