import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'

const program = fileURLToPath(new URL('../dist/main.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'baton-bench-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('a quick run measures a row in another process and writes table, numbers and plot', async () => {
  const out = join(folder, 'run')
  const run = await promisify(execFile)(process.execPath, [
    program,
    'baton/node/sqlite/jwt',
    '--quick',
    '--sizes',
    `--out=${out}`,
  ])
  expect(run.stdout).toContain('| baton/node/sqlite/jwt |')
  const [summary] = JSON.parse(readFileSync(`${out}.json`, 'utf8'))
  expect(summary).toMatchObject({ row: { name: 'baton/node/sqlite/jwt' }, rounds: 1, size: { commands: 1 } })
  expect(summary.requestsPerSecond).toBeGreaterThan(0)
  expect(summary.size.bytesPerSession).toBeGreaterThan(0)
  expect(readFileSync(`${out}.md`, 'utf8')).toBe(run.stdout.slice(0, readFileSync(`${out}.md`, 'utf8').length))
  expect(readFileSync(`${out}.svg`, 'utf8')).toContain('baton/node/sqlite/jwt')
})

test('a row whose responses are not new tokens fails with the response as its message', async () => {
  const run = promisify(execFile)(process.execPath, [program, 'broken', '--quick'])
  await expect(run).rejects.toMatchObject({ code: 1, stdout: expect.stringMatching(/FAILED broken: \d+ × 200 /) })
})

test('an unknown row name is rejected', async () => {
  const run = promisify(execFile)(process.execPath, [program, 'batton'])
  await expect(run).rejects.toMatchObject({ stderr: expect.stringContaining('no row matches batton') })
})
