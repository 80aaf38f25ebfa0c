import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Whatever the text is, a name that every file system takes, and that does not lead elsewhere. */
export function nameOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

export async function read<Content>(file: string): Promise<Content | null> {
  return JSON.parse(await readFile(file, 'utf8').catch(unless('ENOENT', 'null'))) as Content | null
}

export async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(unless('ENOENT', []))).filter((name) => name.endsWith('.json'))
}

/** Readers see the old file or the new one; once this resolves, a power failure leaves the new one. */
export async function write(file: string, content: unknown): Promise<void> {
  const made = await mkdir(dirname(file), { recursive: true })
  await writeThrough(`${file}.new`, 'w', JSON.stringify(content))
  await rename(`${file}.new`, file)
  await settle(file, made)
}

/** Makes an empty file, which is the same whoever makes it. */
export async function enter(file: string): Promise<void> {
  const made = await mkdir(dirname(file), { recursive: true })
  await writeThrough(file, 'a')
  await settle(file, made)
}

/** Sees to it that the names last as the contents do. */
async function settle(file: string, made: string | undefined): Promise<void> {
  await writeThrough(dirname(file), 'r')
  if (made !== undefined) await writeThrough(dirname(made), 'r')
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

function unless<Value>(code: string, value: Value) {
  return (error: NodeJS.ErrnoException): Value => {
    if (error.code === code) return value
    throw error
  }
}
