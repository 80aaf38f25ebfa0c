import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'vite'
import { expect, test, vi } from 'vitest'
import { until } from '@baton/test-servers'
import { isGone } from '../src/process-tree.js'

// A busy machine starts servers slowly.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

test('servers and folders of a process that is killed with SIGKILL are gone soon after', async () => {
  const bundles = await mkdtemp(join(import.meta.dirname, '../node_modules/bundle-'))
  try {
    const program = `
      import { startPostgres, startRedis } from ${JSON.stringify(pathToFileURL(join(bundles, 'index.js')).href)}
      const [redis, postgres] = await Promise.all([startRedis({}), startPostgres({})])
      redis.pause()
      const { rows } = await postgres.pool().query('SHOW data_directory')
      console.log(JSON.stringify({ pids: [redis.pid, postgres.pid], folder: rows[0].data_directory }))
      setInterval(() => undefined, 1000)
    `
    await build({
      configFile: false,
      logLevel: 'silent',
      build: {
        ssr: join(import.meta.dirname, '../src/index.ts'),
        outDir: bundles,
        minify: false,
        // Packages stay where they are.
        rolldownOptions: { external: /^[^./]/ },
      },
    })
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await Promise.race([
      once(createInterface(child.stdout), 'line'),
      once(child, 'exit').then(() => Promise.reject(new Error('the program did not start'))),
    ])) as [string]
    const { pids, folder } = JSON.parse(line) as { pids: number[]; folder: string }
    expect(pids.some(isGone)).toBe(false)
    expect(folder.startsWith(tmpdir()) && existsSync(folder)).toBe(true)

    child.kill('SIGKILL')

    await until('the servers are gone', () => pids.every(isGone))
    await until('their folders are removed', () => !existsSync(folder))
  } finally {
    await rm(bundles, { recursive: true })
  }
})
