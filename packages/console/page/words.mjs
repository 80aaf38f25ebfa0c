const ENDINGS = {
  logout: 'signed out',
  client_request: 'ended by its client',
  subject_request: 'ended from elsewhere',
  replaced: 'replaced by a new sign-in',
  reuse: 'ended, because two parties held it',
  rollback: 'ended, because the store had fallen back',
}

const BEGINNINGS = {
  issued: 'issued',
  rotated: 'rotated',
  healed: 'healed after the store had lost it',
  imported: 'imported',
}

export function statusOf({ end }, isAlive) {
  if (end !== null) return ENDINGS[end.reason] ?? 'ended'
  return isAlive ? 'alive' : 'over'
}

/** A family's history in plain sentences, for those who do not see the picture. */
export function sentencesOf({ steps, theft, end }) {
  const sentences = steps.map(({ generation, at, how, retries }) => {
    const again = retries === 0 ? '' : `, handed out again ${retries === 1 ? 'once' : `${retries} times`}`
    return `Generation ${generation}: ${at === null ? 'current' : `${BEGINNINGS[how]} ${when(at)}`}${again}.`
  })
  if (theft !== null) sentences.push(`${stolen(theft)}, ${when(theft.at)}.`)
  if (end !== null) sentences.push(`Over since ${when(end.at)}: ${statusOf({ end })}.`)
  return sentences
}

/** The picture in one sentence. */
export function summaryOf({ steps, theft, end }, isAlive) {
  const retries = steps.reduce((sum, step) => sum + step.retries, 0)
  return [
    `Generation ${steps.at(-1)?.generation ?? 'unknown'}, ${statusOf({ end }, isAlive)}.`,
    ...(retries > 0 ? [`Handed out again ${retries === 1 ? 'once' : `${retries} times`}.`] : []),
    ...(theft !== null ? [`${stolen(theft)}.`] : []),
  ].join(' ')
}

function stolen({ presented }) {
  return presented === null
    ? 'Theft: the code that it began with came a second time'
    : `Theft: generation ${presented} came back after it had been rotated away`
}

function when(at) {
  return new Date(at).toLocaleString()
}
