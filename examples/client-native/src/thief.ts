import { readFile } from 'node:fs/promises'
import { dpop } from '@baton/client/dpop'

interface Theft {
  /** The copied session. */
  readonly file: string
  readonly tokenEndpoint: string
}

/** Uses a copied refresh token like an attacker who has a backup: with the session but without the key. */
export async function steal({ file, tokenEndpoint }: Theft): Promise<void> {
  const [refreshToken] = /brt_[\w-]+/.exec(await readFile(file, 'utf8')) ?? []
  if (refreshToken === undefined) throw new Error('there is no session to steal: start without an argument first')
  const form = { grant_type: 'refresh_token', client_id: 'native', refresh_token: refreshToken }
  const request = () => ({ method: 'POST', body: new URLSearchParams(form) })

  console.log(`without a key: ${await verdictOf(await fetch(tokenEndpoint, request()))}`)

  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  const keyPair = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
  const proofs = dpop({ keyPair })
  console.log(`with a key of the thief: ${await verdictOf(await proofs.fetch(tokenEndpoint, request()))}`)
}

async function verdictOf(response: Response): Promise<string> {
  const { error } = (await response.json()) as { error?: string }
  return error ?? 'let in'
}
