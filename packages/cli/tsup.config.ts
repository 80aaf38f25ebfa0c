import { defineConfig } from 'tsup'
import { library } from '../../tsup.base.ts'

/** The program beside the library: one ESM file that npx starts. */
export default defineConfig([
  library as object,
  { ...(library as object), entry: ['src/main.ts'], format: ['esm'], dts: false, clean: false },
])
