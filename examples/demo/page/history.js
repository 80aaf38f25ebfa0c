/** Collects the history of each family from observed requests and emitted events. */
export function createHistory() {
  const families = new Map()
  const lines = []

  function familyFor(id) {
    if (!families.has(id))
      families.set(id, { id, nodes: new Map(), issuedAt: null, usedAt: null, reuse: null, end: null })
    return families.get(id)
  }

  function nodeFor(id, generation) {
    const { nodes } = familyFor(id)
    if (!nodes.has(generation))
      nodes.set(generation, { generation, fingerprint: null, receivedBy: null, again: 0, lost: 0 })
    return nodes.get(generation)
  }

  function addExchange({ received, lost, actor }) {
    if (!received?.familyId || received.generation === null) return
    const node = nodeFor(received.familyId, received.generation)
    node.receivedBy ??= actor
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
        family.reuse = { presented: event.presentedGeneration }
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
      const line = describeObservation(observation)
      if (line) lines.push(line)
    },
  }
}

/** Returns the newest generation of a family. */
export function getCurrentGeneration(family) {
  return Math.max(...family.nodes.keys())
}

const ENDINGS = {
  reuse: 'ended: reuse detected',
  logout: 'ended: signed out',
  client_request: 'ended: signed out',
  subject_request: 'ended: signed out everywhere',
  replaced: 'ended: replaced by a new sign-in',
  rollback: 'ended: the store lost writes',
}

export function getStatus(family) {
  return family.end ? (ENDINGS[family.end.reason] ?? 'ended') : 'active'
}

function describeObservation(observation) {
  if (observation.kind === 'exchange') {
    const { at, path, status, lost, actor } = observation.exchange
    if (lost) return { at, tone: 'warn', actor, text: `response ${status} lost after the server had committed it` }
    if (path === '/api/me') return { at, tone: status === 200 ? '' : 'warn', actor, text: `GET ${path}: ${status}` }
    return null
  }
  const { event } = observation
  const { at, familyId } = event
  const line = (text, tone = '') => ({ at, familyId, tone, text })
  switch (event.type) {
    case 'issued':
      return line('issued: a new family', 'good')
    case 'rotated':
      return line(`rotated: generation ${event.generation}`)
    case 'healed':
      return line(`healed: generation ${event.generation}`)
    case 'retried':
      return line(
        `retried: generation ${event.generation} returned again, ${event.by === 'grace' ? 'within the grace window' : 'same Idempotency-Key'}`,
        'warn',
      )
    case 'reuse':
      return line(
        `reuse: generation ${event.presentedGeneration} presented in generation ${event.generation}; the family is revoked`,
        'bad',
      )
    case 'revoked':
      return line(`revoked: ${event.reason.replaceAll('_', ' ')}`, 'bad')
    case 'rejected':
      return line(`rejected: ${event.reason.replaceAll('_', ' ')}`, 'bad')
    case 'fault':
      return line(`fault: ${event.code} in ${event.operation}`, 'bad')
    default:
      return line(event.type)
  }
}

/** Describes a family in sentences, for users who cannot see the picture. */
export function describeFamily(family) {
  const nodes = [...family.nodes.values()].sort((a, b) => a.generation - b.generation)
  const sentences = nodes.map(({ generation, fingerprint, again, lost, receivedBy }) =>
    [
      `Generation ${generation}${fingerprint ? `, token ${fingerprint}` : ''}`,
      ...(receivedBy === 'attacker' ? ['received by the attacker'] : []),
      ...(lost ? ['the response was lost'] : []),
      ...(again ? [`returned again ${again === 1 ? 'once' : `${again} times`}, the same token`] : []),
    ].join('; '),
  )
  if (family.reuse) sentences.push(`Reuse: a copy of generation ${family.reuse.presented} was presented`)
  sentences.push(family.end ? `The family has ${getStatus(family)}` : 'The family is active')
  return sentences.map((sentence) => `${sentence}.`)
}
