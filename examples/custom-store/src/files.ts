import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Returns a valid file name for any text. */
export function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export async function read<Content>(file: string): Promise<Content | null> {
  return JSON.parse(await readFile(file, 'utf8').catch(ignoring('ENOENT', 'null'))) as Content | null
}

export async function listFiles(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(ignoring('ENOENT', []))).filter((name) => name.endsWith('.json'))
}

/** Replaces a file atomically. Once this resolves, the new content survives a power failure. */
export async function write(file: string, content: unknown): Promise<void> {
  const created = await mkdir(dirname(file), { recursive: true })
  await writeThrough(`${file}.new`, 'w', JSON.stringify(content))
  await rename(`${file}.new`, file)
  await syncDirectory(file, created)
}

/** Creates an empty file if it does not exist. */
export async function createEmpty(file: string): Promise<void> {
  const created = await mkdir(dirname(file), { recursive: true })
  await writeThrough(file, 'a')
  await syncDirectory(file, created)
}

/** Syncs the directory, so that the file name survives a power failure as well. */
async function syncDirectory(file: string, created: string | undefined): Promise<void> {
  await writeThrough(dirname(file), 'r')
  if (created !== undefined) await writeThrough(dirname(created), 'r')
}

async function writeThrough(path: string, flags: string, text?: string): Promise<void> {
  const handle = await open(path, flags)
  try {
    if (text !== undefined) await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function ignoring<Value>(code: string, value: Value) {
  return (error: NodeJS.ErrnoException): Value => {
    if (error.code === code) return value
    throw error
  }
}
