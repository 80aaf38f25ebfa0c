import { readFile } from 'node:fs/promises'
import { dpop } from '@baton/client/dpop'

interface CopiedSession {
  /** The path of the copied session. */
  readonly file: string
  readonly tokenEndpoint: string
}

/** Sends a copied refresh token like an attacker with a backup, who has the session but not the key. */
export async function useCopiedSession({ file, tokenEndpoint }: CopiedSession): Promise<void> {
  const [refreshToken] = /brt_[\w-]+/.exec(await readFile(file, 'utf8')) ?? []
  if (refreshToken === undefined)
    throw new Error('there is no session to copy; start the app without an argument first')
  const form = { grant_type: 'refresh_token', client_id: 'native', refresh_token: refreshToken }
  const request = () => ({ method: 'POST', body: new URLSearchParams(form) })

  console.log(`without a key: ${await resultOf(await fetch(tokenEndpoint, request()))}`)

  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const keyPair = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
  const proofs = dpop({ keyPair })
  console.log(`with a key of the attacker: ${await resultOf(await proofs.fetch(tokenEndpoint, request()))}`)
}

async function resultOf(response: Response): Promise<string> {
  const { error } = (await response.json()) as { error?: string }
  return error ?? 'accepted'
}
