import { drawn } from './elements.mjs'

const RADIUS = 16
const SPACING = 72
const LEFT = 24
const MIDDLE = 62
const MAX_STEPS = 10
/** The labels of generations that an ordinary refresh did not create. */
const LABELS = { healed: 'healed', imported: 'imported' }

/** Draws a family as a line of generations, with retries, recovered generations and the end of the family. */
export function pictureOf({ steps, theft, end }, label) {
  const visible = choose(steps, theft?.presented)
  const x = new Map(visible.map(({ generation }, index) => [generation, LEFT + index * SPACING]))
  const last = LEFT + (visible.length - 1) * SPACING
  const width = last + 110
  const parts = visible.flatMap((step, index) => edge(visible[index - 1], step, x))
  parts.push(...(end === null ? [] : ending(last, theft !== null)))
  if (theft !== null) parts.push(...replay(x.get(theft.presented) ?? 6, last))
  parts.push(...visible.flatMap((step) => node(step, x.get(step.generation), end === null && step === visible.at(-1))))
  const top = steps.some((step) => step.retries > 0) ? 8 : 40
  const bottom = theft !== null || steps.some(({ how }) => LABELS[how]) ? 112 : 84
  const frame = { viewBox: `0 ${top} ${width} ${bottom - top}`, width, height: bottom - top }
  return drawn('svg', { role: 'img', 'aria-label': label, ...frame }, ...parts)
}

/** Omits generations between the first one and the newest ones if there are too many. The reused generation is always included. */
function choose(steps, presented) {
  if (steps.length <= MAX_STEPS) return steps
  const first = steps.filter((step, index) => index === 0 || step.generation === presented)
  const newest = steps.slice(first.length - MAX_STEPS)
  return [...first.filter((step) => !newest.includes(step)), ...newest]
}

function edge(previous, step, x) {
  if (previous === undefined) return []
  const from = x.get(previous.generation)
  const to = x.get(step.generation)
  const skipped = step.generation - previous.generation - 1
  const parts = [
    drawn('path', { class: skipped > 0 ? 'line gap' : 'line', d: `M${from + RADIUS} ${MIDDLE}H${to - RADIUS}` }),
  ]
  if (skipped > 0) parts.push(drawn('text', { x: (from + to) / 2, y: MIDDLE - 6 }, `+${skipped}`))
  if (step.retries > 0)
    parts.push(
      drawn('path', {
        class: 'again',
        d: `M${from + 8} ${MIDDLE - RADIUS}C${from + 16} ${MIDDLE - 38} ${to - 16} ${MIDDLE - 38} ${to - 8} ${MIDDLE - RADIUS}`,
      }),
      drawn('text', { class: 'again', x: (from + to) / 2, y: MIDDLE - 37 }, times(step.retries)),
    )
  return parts
}

function times(retries) {
  return retries === 1 ? 'again' : `again ×${retries}`
}

function node({ generation, how }, x, isCurrent) {
  const kind = [isCurrent ? 'current' : '', how === 'healed' ? 'healed' : ''].filter(Boolean)
  return [
    drawn('circle', { class: ['node', ...kind].join(' '), cx: x, cy: MIDDLE, r: RADIUS }),
    drawn('text', { x, y: MIDDLE + 5 }, generation),
    ...(how in LABELS ? [drawn('text', { x, y: MIDDLE + 34 }, LABELS[how])] : []),
  ]
}

function ending(last, isTheft) {
  return [
    drawn('path', { class: 'line', d: `M${last + RADIUS} ${MIDDLE}H${last + 48}` }),
    drawn('path', { class: isTheft ? 'end stolen' : 'end', d: `M${last + 50} ${MIDDLE - 18}V${MIDDLE + 18}` }),
  ]
}

/** Draws a line below the others, from the reused token to the end of the family. */
function replay(from, last) {
  const low = MIDDLE + 42
  return [
    drawn('path', { class: 'theft', d: `M${from} ${MIDDLE + RADIUS}V${low}H${last + 50}V${MIDDLE + 20}` }),
    drawn('text', { class: 'theft', x: (from + last + 50) / 2, y: low - 5 }, 'came back'),
  ]
}
