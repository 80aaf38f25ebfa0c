import { describe, expect, test } from 'vitest'
import { outputOf, startDemo } from './programs.js'

const STEPS = [
  'login',
  'API',
  'expiry and 401',
  'refresh',
  'lost response',
  '8 refreshes at once',
  'reuse',
  'other device',
  'logout',
  'logout everywhere',
  'restart',
]

describe('demo --once', () => {
  test('runs every step and exits with 0', async () => {
    const { code, stdout, stderr } = await outputOf(startDemo(['--once']))
    const told = stdout.split('\n').filter((line) => line.startsWith('✓'))
    expect(told.map((line) => line.slice(2, 22).trim())).toEqual(STEPS)
    expect(stdout).toContain(`All ${STEPS.length} steps passed in`)
    expect(stderr).not.toContain('✗')
    expect(code).toBe(0)
  })

  test('prints fingerprints and no token', async () => {
    const { stdout, stderr } = await outputOf(startDemo(['--once']))
    expect(stdout).toMatch(/lost response +committed ([0-9a-f]{8}), .* received \1, the same/)
    expect(stdout + stderr).not.toMatch(/brt_|eyJ/)
  })

  test('names the failed step and exits with 1', async () => {
    // Without grace, the losers of a race count as reuse.
    const { code, stdout, stderr } = await outputOf(startDemo(['--once'], { GRACE_SECONDS: '0' }))
    expect(stdout).toContain('✓ lost response')
    expect(stdout).not.toContain('steps passed')
    expect(stderr).toMatch(/^✗ 8 refreshes at once +expected tokens, got 400 invalid_grant$/m)
    expect(code).toBe(1)
  })

  test('reports a server that does not start', async () => {
    const { code, stderr } = await outputOf(startDemo(['--once'], { GRACE_SECONDS: 'soon' }))
    expect(stderr).toContain('GRACE_SECONDS')
    expect(code).toBe(1)
  })
})
