import type { Row } from '../row.js'
import { FORM, PATH, type Subject } from '../subject.js'
import { serveConstant } from './frameworks.js'

/** As long as what Baton answers with a sealed access token. */
const ANSWER = JSON.stringify({
  access_token: 'a'.repeat(300),
  token_type: 'Bearer',
  expires_in: 900,
  refresh_token: `brt_${'r'.repeat(112)}`,
})

/** The same without saying so. */
export async function broken(row: Row): Promise<Subject> {
  const { target, issue } = await bare(row)
  return { target: { ...target, constant: false }, issue }
}

/** A framework that does nothing. */
export async function bare({ server }: Row): Promise<Subject> {
  return {
    target: { port: await serveConstant(server, ANSWER), path: PATH, form: FORM, constant: true },
    issue: async (count) => Array.from({ length: count }, () => 'none'),
  }
}
