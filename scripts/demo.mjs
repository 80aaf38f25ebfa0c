import { spawn } from 'node:child_process'
import { bootstrapProgram, fail, run } from './bootstrap.mjs'

// The demo runs the built JavaScript; declarations would double the time of the build.
process.env.BATON_BUILD_TYPES = 'false'
const built = await bootstrapProgram('demo', () =>
  run('turbo', ['run', 'build', '--filter=demo...', '--output-logs=errors-only']),
)
if (built !== 0) fail('The build failed.')

const args = process.argv.slice(2).filter((argument) => argument !== '--')
const demo = spawn(process.execPath, ['examples/demo/dist/main.js', ...args], { stdio: 'inherit' })
// The demo stops its own servers; exiting first would return the terminal too early.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => demo.kill(signal))
demo.once('exit', (code) => process.exit(code ?? 1))
