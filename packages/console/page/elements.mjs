const SVG = 'http://www.w3.org/2000/svg'

/** An element with attributes and children; a child that is text stays text, whatever is in it. */
export function element(name, attributes = {}, ...children) {
  return furnish(document.createElement(name), attributes, children)
}

export function drawn(name, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, name), attributes, children)
}

function furnish(node, attributes, children) {
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, String(value))
  node.append(...children)
  return node
}

export function instant(at) {
  const date = new Date(at)
  return element('time', { datetime: date.toISOString() }, date.toLocaleString())
}
