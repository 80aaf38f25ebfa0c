import { element, instant } from './elements.mjs'
import { pictureOf } from './picture.mjs'
import { sentencesOf, statusOf, summaryOf } from './words.mjs'

/** Returns the card of an active session, with the button that ends it. */
export function livingCard(family, onEnd) {
  const name = nameOf(family)
  const button = element('button', { type: 'button', class: 'danger', 'aria-label': `End ${name}` }, 'End')
  button.addEventListener('click', () => onEnd(family.id, name))
  const facts = element('p', { class: 'facts' }, `${family.clientId}${family.scope === '' ? '' : ` · ${family.scope}`}`)
  facts.append(family.offline ? ' · offline access' : '', family.isBound ? ' · bound to a key' : '')
  const times = element('p', { class: 'facts' }, 'Since ', instant(family.createdAt), ', last used ')
  times.append(instant(family.lastUsedAt), ', ends ', instant(family.expiresAt))
  if (family.expiresAt < family.absoluteExpiresAt) times.append(' unless it is used')
  const bar = element('div', { class: 'bar' }, element('h3', {}, name), button)
  return card(family.id, bar, [facts, times, ...story(withCurrent(family), true)])
}

/** Returns the card of an ended session, of which only the events are left. */
export function endedCard({ id, history }) {
  return card(id, element('h3', {}, `Session ${id}`), [
    element('p', { class: 'facts' }, statusOf(history, false)),
    ...story(history, false),
  ])
}

function card(id, heading, parts) {
  return element('li', { class: 'card', 'data-family': id }, heading, ...parts)
}

function nameOf({ id, device }) {
  return device ?? `Session ${id}`
}

/** Adds the current generation if the log does not contain it, for example because the log started after the session. */
function withCurrent({ generation, history }) {
  if (history.steps.some((step) => step.generation === generation)) return history
  return { ...history, steps: [...history.steps, { generation, at: null, how: 'rotated', retries: 0 }] }
}

function story(history, isAlive) {
  if (history.steps.length === 0) return []
  const picture = element('div', {
    class: 'picture',
    tabindex: '0',
    role: 'group',
    'aria-label': 'Picture of the session',
  })
  picture.append(pictureOf(history, summaryOf(history, isAlive)))
  const words = element('details', {}, element('summary', {}, 'In words'))
  words.append(element('ol', {}, ...sentencesOf(history).map((sentence) => element('li', {}, sentence))))
  return [picture, words]
}
