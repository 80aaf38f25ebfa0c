import { getCurrentGeneration, getStatus } from './history.js'

const SVG = 'http://www.w3.org/2000/svg'
const RADIUS = 17
const LEFT = 32
/** Space after the newest generation for the state of the family. */
const RIGHT = 66
const LANE = { plain: 122, withCopy: 164 }

/**
 * Draws each family as a line of generations.
 * @param {SVGSVGElement} svg
 * @param {{ title: string, key: string, family: object, copied: number | null }[]} lanes
 */
export function draw(svg, lanes, width) {
  const spacing = width < 480 ? 66 : 88
  const parts = []
  let top = 0
  for (const lane of lanes) {
    const hasCopy = lane.copied !== null || lane.family.reuse !== null
    parts.push(drawLane(lane, { top, width, spacing }))
    top += hasCopy ? LANE.withCopy : LANE.plain
  }
  svg.setAttribute('viewBox', `0 0 ${width} ${top}`)
  svg.setAttribute('width', width)
  svg.setAttribute('height', top)
  svg.setAttribute('aria-label', lanes.map(describeLane).join(' '))
  svg.replaceChildren(definitions(), ...parts)
}

function describeLane({ title, family }) {
  const current = getCurrentGeneration(family)
  const reuse = family.reuse ? ` A copy of generation ${family.reuse.presented} was presented by an attacker.` : ''
  return `${title}: generation ${current}, ${getStatus(family)}.${reuse}`
}

function drawLane({ title, key, family, copied }, { top, width, spacing }) {
  const y = top + 74
  const current = getCurrentGeneration(family)
  const marked = family.reuse?.presented ?? copied
  const slots = Math.max(3, Math.floor((width - LEFT - RIGHT) / spacing) + 1)
  const visible = choose(
    [...family.nodes.keys()].sort((a, b) => a - b),
    marked,
    slots,
  )
  const xOf = new Map(visible.map((generation, index) => [generation, LEFT + index * spacing]))
  const lastX = xOf.get(current)
  const endX = lastX + 58

  const lane = element('g', {
    class: `lane ${family.end ? 'ended' : 'active'}`,
    'data-family': key,
    'data-status': getStatus(family),
  })
  const heading = text(title, { x: LEFT - RADIUS, y: top + 17, class: 'title' })
  const status = element('tspan', { class: 'status', dx: 10 })
  status.textContent = getStatus(family)
  heading.append(status)
  lane.append(heading)

  for (const [index, generation] of visible.entries()) {
    const previous = visible[index - 1]
    if (previous === undefined) continue
    lane.append(
      ...edge(family.nodes.get(generation), {
        from: xOf.get(previous),
        to: xOf.get(generation),
        y,
        skipped: generation - previous - 1,
      }),
    )
  }
  lane.append(...ending(family, { lastX, endX, y }))
  if (marked !== null && xOf.has(marked))
    lane.append(...drawCopy(family, { x: xOf.get(marked), endX, y, used: family.reuse !== null }))
  for (const generation of visible)
    lane.append(
      drawNode(family.nodes.get(generation), { x: xOf.get(generation), y, isCurrent: generation === current }),
    )
  return lane
}

/** Leaves out generations between the first and the newest if they do not fit, but never the marked one. */
function choose(generations, marked, slots) {
  if (generations.length <= slots) return generations
  const kept = new Set([generations[0], generations.at(-1)])
  if (marked !== null && generations.includes(marked)) kept.add(marked)
  for (const generation of [...generations].reverse()) {
    if (kept.size >= slots) break
    kept.add(generation)
  }
  return generations.filter((generation) => kept.has(generation))
}

function edge(node, { from, to, y, skipped }) {
  const middle = (from + to) / 2
  if (skipped > 0)
    return [
      element('path', { class: 'line skipped', d: `M${from + RADIUS} ${y}H${to - RADIUS}` }),
      text(`+${skipped}`, { x: middle, y: y - 8, class: 'small', 'text-anchor': 'middle' }),
    ]
  const parts = [element('path', { class: 'line', d: `M${from + RADIUS} ${y}H${to - RADIUS}` })]
  if (node.lost > 0)
    parts.push(
      element('path', { class: 'lost', 'data-lost': node.generation, d: `m${middle - 6} ${y - 6} 12 12m0-12-12 12` }),
    )
  if (node.again > 0)
    parts.push(
      element('path', {
        class: 'again',
        'data-again': node.generation,
        'marker-end': 'url(#arrow)',
        d: `M${from + 9} ${y - RADIUS + 1}C${from + 16} ${y - 40} ${to - 18} ${y - 40} ${to - 9} ${y - RADIUS - 3}`,
      }),
      text(node.again === 1 ? 'again' : `again ×${node.again}`, {
        x: middle,
        y: y - 39,
        class: 'small warn',
        'text-anchor': 'middle',
      }),
    )
  return parts
}

function drawNode({ generation, fingerprint, receivedBy }, { x, y, isCurrent }) {
  const attacker = receivedBy === 'attacker'
  const group = element('g', {
    class: `generation${isCurrent ? ' current' : ''}${attacker ? ' by-attacker' : ''}`,
    'data-generation': generation,
    'data-fingerprint': fingerprint ?? '',
  })
  group.append(
    element('circle', { class: 'node', cx: x, cy: y, r: RADIUS }),
    text(String(generation), { x, y: y + 5, class: 'number', 'text-anchor': 'middle' }),
    text(fingerprint ?? '', { x, y: y + 35, class: 'print', 'text-anchor': 'middle' }),
  )
  if (attacker) group.append(text('attacker', { x, y: y - RADIUS - 19, class: 'small bad', 'text-anchor': 'middle' }))
  return group
}

function ending(family, { lastX, endX, y }) {
  if (!family.end)
    return [
      element('path', { class: 'line open', d: `M${lastX + RADIUS} ${y}H${endX - 8}` }),
      element('circle', { class: 'pulse', cx: endX - 2, cy: y, r: 5 }),
    ]
  const bottom = family.reuse ? y + 70 : y + 20
  return [
    element('path', { class: 'line', d: `M${lastX + RADIUS} ${y}H${endX}` }),
    element('path', { class: 'end', d: `M${endX} ${y - 20}V${bottom}` }),
  ]
}

/** The copy is drawn below its token, and leads to the end after its use. */
function drawCopy(family, { x, endX, y, used }) {
  const low = y + 58
  const parts = [element('path', { class: `copied-from${used ? ' used' : ''}`, d: `M${x} ${y + RADIUS}V${low - 9}` })]
  if (used)
    parts.push(
      element('path', {
        class: 'copied-from used',
        'marker-end': 'url(#arrow-bad)',
        d: `M${x + 9} ${low}H${endX - 9}`,
      }),
    )
  parts.push(
    element('path', {
      class: `copy${used ? ' used' : ''}`,
      'data-copy': used ? 'used' : 'held',
      d: `m${x} ${low - 9} 9 9-9 9-9-9z`,
    }),
    text(used ? 'stolen copy used' : 'stolen copy', { x: x + 15, y: low + 17, class: 'small bad' }),
  )
  return parts
}

function definitions() {
  const defs = element('defs', {})
  for (const [id, style] of [
    ['arrow', 'arrow'],
    ['arrow-bad', 'arrow bad'],
  ]) {
    const marker = element('marker', {
      id,
      class: style,
      viewBox: '0 0 10 10',
      refX: 8,
      refY: 5,
      markerWidth: 6,
      markerHeight: 6,
      orient: 'auto',
    })
    marker.append(element('path', { d: 'M0 0 10 5 0 10z' }))
    defs.append(marker)
  }
  return defs
}

function text(content, attributes) {
  const node = element('text', attributes)
  node.textContent = content
  return node
}

function element(name, attributes) {
  const node = document.createElementNS(SVG, name)
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, String(value))
  return node
}
