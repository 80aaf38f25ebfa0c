/** Puts together, from what the observer saw and what Baton reported, what became of each family. */
export function createHistory() {
  const families = new Map()
  const lines = []

  function familyFor(id) {
    if (!families.has(id))
      families.set(id, { id, nodes: new Map(), issuedAt: null, usedAt: null, theft: null, end: null })
    return families.get(id)
  }

  function nodeFor(id, generation) {
    const { nodes } = familyFor(id)
    if (!nodes.has(generation))
      nodes.set(generation, { generation, fingerprint: null, takenBy: null, again: 0, lost: 0 })
    return nodes.get(generation)
  }

  function addExchange({ received, lost, actor }) {
    if (!received?.familyId || received.generation === null) return
    const node = nodeFor(received.familyId, received.generation)
    node.takenBy ??= actor
    node.fingerprint = received.fingerprint
    if (lost) node.lost += 1
  }

  function addEvent(event) {
    switch (event.type) {
      case 'issued':
        nodeFor(event.familyId, 0)
        Object.assign(familyFor(event.familyId), { issuedAt: event.at, usedAt: event.at })
        break
      case 'rotated':
      case 'healed':
        nodeFor(event.familyId, event.generation)
        familyFor(event.familyId).usedAt = event.at
        break
      case 'retried':
        nodeFor(event.familyId, event.generation).again += 1
        break
      case 'reuse': {
        const family = familyFor(event.familyId)
        family.theft = { presented: event.presentedGeneration }
        family.end = { reason: 'reuse' }
        break
      }
      case 'revoked':
        familyFor(event.familyId).end = { reason: event.reason }
        break
    }
  }

  return {
    families,
    lines,
    add(observation) {
      if (observation.kind === 'event') addEvent(observation.event)
      else addExchange(observation.exchange)
      const line = lineOf(observation)
      if (line) lines.push(line)
    },
  }
}

/** The newest generation of a family. */
export function currentOf(family) {
  return Math.max(...family.nodes.keys())
}

const ENDINGS = {
  reuse: 'ended: two holders noticed',
  logout: 'ended: signed out',
  client_request: 'ended: signed out',
  subject_request: 'ended: signed out everywhere',
  replaced: 'ended: replaced by a new sign-in',
  rollback: 'ended: the store fell back',
}

export function statusOf(family) {
  return family.end ? (ENDINGS[family.end.reason] ?? 'ended') : 'alive'
}

function lineOf(observation) {
  if (observation.kind === 'exchange') {
    const { at, path, status, lost, actor } = observation.exchange
    if (lost)
      return { at, tone: 'warn', actor, text: `answer ${status} lost on the way, after the server had committed it` }
    if (path === '/api/me')
      return { at, tone: status === 200 ? '' : 'warn', actor, text: `GET ${path} answered ${status}` }
    return null
  }
  const { event } = observation
  const { at, familyId } = event
  const line = (text, tone = '') => ({ at, familyId, tone, text })
  switch (event.type) {
    case 'issued':
      return line('issued: a family begins', 'good')
    case 'rotated':
      return line(`rotated: generation ${event.generation} begins`)
    case 'healed':
      return line(`healed: generation ${event.generation}`)
    case 'retried':
      return line(
        `retried: generation ${event.generation} handed out again, ${event.by === 'grace' ? 'within the grace time' : 'same Idempotency-Key'}`,
        'warn',
      )
    case 'reuse':
      return line(
        `reuse: generation ${event.presentedGeneration} came back in generation ${event.generation}; the family ends`,
        'bad',
      )
    case 'revoked':
      return line(`revoked: ${event.reason.replaceAll('_', ' ')}`, 'bad')
    case 'refused':
      return line(`refused: ${event.reason}`, 'bad')
    case 'fault':
      return line(`fault: ${event.code} in ${event.operation}`, 'bad')
    default:
      return line(event.type)
  }
}

/** A family in plain sentences, for those who do not see the picture. */
export function wordsOf(family) {
  const nodes = [...family.nodes.values()].sort((a, b) => a.generation - b.generation)
  const sentences = nodes.map(({ generation, fingerprint, again, lost, takenBy }) =>
    [
      `Generation ${generation}${fingerprint ? `, token ${fingerprint}` : ''}`,
      ...(takenBy === 'thief' ? ['taken by the thief'] : []),
      ...(lost ? ['the answer was lost'] : []),
      ...(again ? [`handed out again ${again === 1 ? 'once' : `${again} times`}, the same token`] : []),
    ].join('; '),
  )
  if (family.theft) sentences.push(`Theft: a copy of generation ${family.theft.presented} was used`)
  sentences.push(family.end ? `The family has ${statusOf(family)}` : 'The family is alive')
  return sentences.map((sentence) => `${sentence}.`)
}
