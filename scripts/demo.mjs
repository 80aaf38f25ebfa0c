import { spawn } from 'node:child_process'
import { bootstrap, fail, run } from './bootstrap.mjs'

await bootstrap()
if ((await run('turbo', ['run', 'build', '--filter=demo...', '--output-logs=errors-only'])) !== 0)
  fail('The build failed.')

const args = process.argv.slice(2).filter((argument) => argument !== '--')
const demo = spawn(process.execPath, ['examples/demo/dist/main.js', ...args], { stdio: 'inherit' })
// The demo ends its own servers; leaving first would hand the terminal back too early.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => demo.kill(signal))
demo.once('exit', (code) => process.exit(code ?? 1))
