/** Parses a Bearer challenge as RFC 9110 section 11.2 writes it, quoted values only; throws for anything else. */
export function parseChallenge(challenge: string | undefined): Record<string, string> {
  const parameter = /([a-z_]+)="([\x20-\x21\x23-\x5b\x5d-\x7e]*)"/.source
  if (!new RegExp(`^Bearer ${parameter}(, ${parameter})*$`).test(challenge ?? ''))
    throw new Error(`not a legal challenge: ${challenge ?? 'none'}`)
  const parameters = [...(challenge ?? '').matchAll(new RegExp(parameter, 'g'))].map(([, name, value]) => [name, value])
  if (new Set(parameters.map(([name]) => name)).size !== parameters.length) throw new Error('a parameter is repeated')
  return Object.fromEntries(parameters)
}
