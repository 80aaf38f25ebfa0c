import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Fault } from './faults.js'

/** The sources and tests in a temporary directory, with the installed dependencies of the original. */
export interface WorkingCopy {
  readonly folder: string
  /**
   * Writes the fault into its file and returns a function that removes it. Throws if the text to replace is not found
   * exactly once.
   */
  inject(fault: Fault): Promise<() => Promise<void>>
  remove(): Promise<void>
}

const FILES = ['package.json', 'vitest.config.ts', 'vitest.projects.ts', 'tsconfig.json', 'tsconfig.base.json']

/** Generated directories. */
const GENERATED = ['node_modules', 'dist', 'coverage', '.turbo', '.stryker']

export async function createCopy(): Promise<WorkingCopy> {
  const folder = await mkdtemp(join(tmpdir(), 'baton-mutants-'))
  for (const file of FILES) await cp(file, join(folder, file))
  await link('node_modules', folder)
  for (const directory of await listDirectories()) {
    await cp(directory, join(folder, directory), {
      recursive: true,
      filter: (path) => !GENERATED.includes(basename(path)),
    })
    await link(join(directory, 'node_modules'), folder)
  }
  return {
    folder,
    async inject({ file, find, replace, name }) {
      const path = join(folder, file)
      const source = await readFile(path, 'utf8')
      if (source.split(find).length !== 2)
        throw new Error(`the text to replace does not occur exactly once in ${file}: ${name}`)
      await writeFile(
        path,
        source.replace(find, () => replace),
      )
      return () => writeFile(path, source)
    },
    remove: () => rm(folder, { recursive: true }),
  }
}

async function listDirectories(): Promise<string[]> {
  const packages = await readdir('packages')
  const internal = ['http-parity', 'simulation', 'test-processes', 'test-servers']
  return [...packages.map((name) => join('packages', name)), ...internal.map((name) => join('internal', name))]
}

async function link(path: string, folder: string): Promise<void> {
  await symlink(join(process.cwd(), path), join(folder, path), 'dir').catch(ignoreMissing)
}

function ignoreMissing(error: unknown): void {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
  throw error
}
