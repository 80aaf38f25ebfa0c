import type { webcrypto } from 'node:crypto'
import { open, readFile, rm } from 'node:fs/promises'
import type { KeyPair } from '@baton/client/dpop'

type Jwk = webcrypto.JsonWebKey

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' }

/**
 * Returns the key of this device, created at the first call. It takes the place of the Secure Enclave, the Keystore or a TPM, whose keys
 * cannot be read. In Node.js it is a file, which must not be stored with the session, for example in backups.
 */
export async function deviceKey(file: string): Promise<KeyPair> {
  const whole = (await read(file)) ?? (await make(file))
  const { d, ...half } = whole
  return {
    privateKey: await crypto.subtle.importKey('jwk', whole, ALGORITHM, false, ['sign']),
    publicKey: await crypto.subtle.importKey('jwk', { ...half, key_ops: ['verify'] }, ALGORITHM, true, ['verify']),
  }
}

async function read(file: string): Promise<Jwk | null> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  })
  return text === null ? null : (JSON.parse(text) as Jwk)
}

async function make(file: string): Promise<Jwk> {
  const { privateKey } = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const jwk = await crypto.subtle.exportKey('jwk', privateKey)
  const handle = await open(file, 'wx', 0o600)
  try {
    await handle.writeFile(JSON.stringify(jwk))
  } catch (error) {
    // A full disk must not leave an incomplete file, which could not be read later.
    await rm(file, { force: true })
    throw error
  } finally {
    await handle.close()
  }
  return jwk
}
