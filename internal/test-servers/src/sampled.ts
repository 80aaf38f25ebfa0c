const MODES = ['sample', 'rest', 'all']

const mode = process.env['BATON_TESTS'] ?? 'sample'
if (!MODES.includes(mode)) throw new Error(`BATON_TESTS must be one of ${MODES.join(', ')}; got ${mode}`)

/**
 * Returns the cases of a long test that run: those of the sample with `npm test`, the others with `pnpm proofs`, and all of them with
 * BATON_TESTS=all.
 */
export function sampled<Case>(cases: readonly Case[], isInSample: (one: Case) => boolean): Case[] {
  return cases.filter((one) => mode === 'all' || isInSample(one) === (mode === 'sample'))
}
