import { bootstrap, fail, run } from './bootstrap.mjs'

/** Each is a program of `simulation`, run from the sources so that what is proven is what is written. */
const PROOFS = ['model', 'mutants', 'simulate', 'fuzz', 'soak']

const [proof, ...args] = process.argv.slice(2)
if (!PROOFS.includes(proof)) fail(`Which proof? One of ${PROOFS.join(', ')}.`)

await bootstrap()
process.exitCode = await run('tsx', [`internal/simulation/src/${proof}/main.ts`, ...args.filter((arg) => arg !== '--')])
