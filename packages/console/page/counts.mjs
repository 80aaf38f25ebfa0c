import { ask } from './ask.mjs'
import { element } from './elements.mjs'

const EVERY_MS = 2000
const NAMES = {
  issued: 'signed in',
  rotated: 'rotated',
  retried: 'retried',
  healed: 'healed',
  reuse: 'stolen',
  revoked: 'revoked',
  rejected: 'rejected',
  fault: 'faults',
}
const ALARMING = ['reuse', 'fault']

/** Updates the counters periodically while the page is visible. */
export function showCounts(list, note) {
  async function refresh() {
    try {
      const { since, total, lately } = await ask({ action: 'counts' })
      list.replaceChildren(...Object.keys(NAMES).map((type) => counter(type, total[type] ?? 0, lately[type] ?? 0)))
      note.textContent = `Since ${new Date(since).toLocaleString()}, in this log; behind the plus, the last minute.`
    } catch (error) {
      note.textContent = error.message
    }
  }
  async function keepOn() {
    if (document.visibilityState === 'visible') await refresh()
    setTimeout(keepOn, EVERY_MS)
  }
  void keepOn()
}

function counter(type, total, lately) {
  const value = element('dd', { 'data-count': type }, total.toLocaleString())
  if (lately > 0) value.append(element('small', {}, `+${lately.toLocaleString()}`))
  const alarm = ALARMING.includes(type) && total > 0 ? 'alarm' : ''
  return element('div', { class: alarm }, element('dt', {}, NAMES[type]), value)
}
