type Parameters = Record<string, string>

const PARAMETER = /([a-z_]+)="([\x20-\x21\x23-\x5b\x5d-\x7e]*)"/.source
const CHALLENGE = new RegExp(`^(Bearer|DPoP) (${PARAMETER}(, ${PARAMETER})*)(, (?=(Bearer|DPoP) )|$)`)

/** Parses challenges (RFC 9110 section 11.2) with quoted values only, by scheme. Throws for any other input. */
export function parseChallenges(header: string | undefined): Record<string, Parameters> {
  const challenges: Record<string, Parameters> = {}
  let rest = header ?? ''
  do {
    const [all = '', scheme = '', parameters = ''] = CHALLENGE.exec(rest) ?? []
    if (all === '' || scheme in challenges) throw new Error(`no legal challenges: ${header ?? 'none'}`)
    challenges[scheme] = parametersOf(parameters)
    rest = rest.slice(all.length)
  } while (rest !== '')
  return challenges
}

/** Returns the parameters of the first challenge. */
export function parseChallenge(header: string | undefined): Parameters {
  const [first] = Object.values(parseChallenges(header))
  if (first === undefined) throw new Error('no challenge')
  return first
}

function parametersOf(text: string): Parameters {
  const pairs = [...text.matchAll(new RegExp(PARAMETER, 'g'))].map(([, name, value]) => [name, value] as const)
  if (new Set(pairs.map(([name]) => name)).size !== pairs.length) throw new Error('a parameter is repeated')
  return Object.fromEntries(pairs) as Parameters
}
