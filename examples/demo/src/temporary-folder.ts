import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A new folder that is gone when this process is. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'baton-demo-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}
