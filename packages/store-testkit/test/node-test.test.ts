import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { expect, test } from 'vitest'

const CORE = fileURLToPath(new URL('../../core/src/', import.meta.url))
const PROGRAM = fileURLToPath(new URL('./under-node-test.ts', import.meta.url))

test('runs under node:test, where fast-check is missing', async () => {
  // Outside of this repository nothing is installed: a module that the kit should not need would be missed.
  const folder = mkdtempSync(join(tmpdir(), 'baton-testkit-'))
  try {
    await build({
      configFile: false,
      logLevel: 'error',
      ssr: { external: ['fast-check'] },
      // What is tested is what is written, not what was built last.
      resolve: {
        alias: [
          { find: /^@baton\/core$/, replacement: `${CORE}index.ts` },
          { find: /^@baton\/core\/(.+)$/, replacement: `${CORE}$1.ts` },
        ],
      },
      build: {
        ssr: PROGRAM,
        outDir: folder,
        emptyOutDir: false,
        rolldownOptions: { output: { entryFileNames: 'cases.mjs' } },
      },
    })
    const { code, output } = await run(['--test', '--test-reporter=tap', join(folder, 'cases.mjs')])
    expect(output).toMatch(/^# pass [1-9]\d\d$/m)
    expect(output).toMatch(/^# fail 2$/m)
    expect(output).toMatch(/not ok \d+ - rotate: another verifier changes nothing and gets the record/)
    expect(output).toMatch(/not ok \d+ - model: 30 arbitrary sequences/)
    expect(output).toContain('modelCases needs fast-check: install it as a dev dependency')
    expect(code).toBe(1)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

function run(options: string[]): Promise<{ code: number; output: string }> {
  // Told that it runs below another test runner, node would report to that one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return new Promise((resolve) => {
    execFile(process.execPath, options, { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr })
    })
  })
}
