import { defineConfig, type Options } from 'tsup'
import { program } from '../../tsup.base.ts'

/** The harness, and the processes that it starts. */
export default defineConfig({
  ...(program as Options),
  tsconfig: '../tsconfig.build.json',
  // Each process loads what it needs and no more.
  splitting: true,
  entry: [
    'src/access-tokens/main.ts',
    'src/access-tokens/server.ts',
    'src/main.ts',
    'src/server.ts',
    'src/load.ts',
    'src/micro.ts',
    'src/growth.ts',
    'src/join.ts',
    'src/compare.ts',
    'src/pair.ts',
  ],
})
