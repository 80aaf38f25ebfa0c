#!/usr/bin/env node
import { run } from './run.js'

// process.exit would discard output that is still in a pipe.
process.exitCode = await run(process.argv.slice(2), {
  env: process.env,
  cwd: process.cwd(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
})
