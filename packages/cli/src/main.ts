#!/usr/bin/env node
import { run } from './run.js'

// Not process.exit: what has been written to a pipe must still get there.
process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
})
