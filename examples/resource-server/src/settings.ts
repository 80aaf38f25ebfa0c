import { exitWithProblem, readInteger, readSetting } from '@baton-examples/shared'

/** Reads the settings. Exits with a message for the first invalid value. */
export function readSettings() {
  const port = readInteger('PORT', { defaultValue: 3001, min: 1, max: 65_535 })
  const issuer = readSetting('ISSUER') ?? 'http://127.0.0.1:3000'
  if (!/^https?:\/\/[^?#]+$/.test(issuer) || !URL.canParse(issuer))
    exitWithProblem('ISSUER', `${JSON.stringify(issuer)} must be the URL of an authorization server`)
  // The access tokens of the example servers are for the server itself, unless a client asks for another resource.
  const audience = readSetting('AUDIENCE') ?? issuer
  return { port, origin: `http://127.0.0.1:${port}`, issuer, audience, derivedSecrets: [] }
}
