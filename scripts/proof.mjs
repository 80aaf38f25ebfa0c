import { bootstrap, fail, run } from './bootstrap.mjs'

/** The programs of `simulation`, run from the sources. */
const PROOFS = ['model', 'mutants', 'simulate', 'fuzz', 'soak']

const [proof, ...args] = process.argv.slice(2)
if (!PROOFS.includes(proof)) fail(`Unknown proof. Use one of ${PROOFS.join(', ')}.`)

await bootstrap()
process.exitCode = await run('tsx', [`internal/simulation/src/${proof}/main.ts`, ...args.filter((arg) => arg !== '--')])
