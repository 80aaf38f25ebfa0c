import type { Row } from '../row.js'
import { FORM, PATH, type Subject } from '../subject.js'
import { serveConstant } from './frameworks.js'

/** As long as the response of Baton with a sealed access token. */
const RESPONSE = JSON.stringify({
  access_token: 'a'.repeat(300),
  token_type: 'Bearer',
  expires_in: 900,
  refresh_token: `brt_${'r'.repeat(112)}`,
})

/** The same server, declared as one whose tokens change: the load generator must report it. */
export async function broken(row: Row): Promise<Subject> {
  const { target, issue } = await bare(row)
  return { target: { ...target, constant: false }, issue }
}

/** A framework without any work. */
export async function bare({ server }: Row): Promise<Subject> {
  return {
    target: { port: await serveConstant(server, RESPONSE), path: PATH, form: FORM, constant: true },
    issue: async (count) => Array.from({ length: count }, () => 'none'),
  }
}
