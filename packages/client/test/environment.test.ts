import { afterEach, expect, test, vi } from 'vitest'
import { createEnvironment } from '../src/platform/environment.js'

afterEach(() => {
  vi.unstubAllGlobals()
})

test('onWake calls when the page becomes active, until the listener is removed', () => {
  const page = new EventTarget()
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page))
  let wakes = 0
  const end = createEnvironment().onWake(() => (wakes += 1))
  const types = ['visibilitychange', 'resume', 'pageshow', 'online']
  for (const type of types) page.dispatchEvent(new Event(type))
  expect(wakes).toBe(4)
  end()
  for (const type of types) page.dispatchEvent(new Event(type))
  expect(wakes).toBe(4)
})

test.each([
  ['of a page', { location: { origin: 'https://app.example' }, origin: 'https://app.example' }, 'https://app.example'],
  ['of a sandboxed page', { location: { origin: 'https://app.example' }, origin: 'null' }, 'https://app.example'],
  [
    'of the page around a srcdoc frame',
    { location: { origin: 'null' }, origin: 'https://app.example' },
    'https://app.example',
  ],
  ['of no page', {}, null],
])('the origin is that %s', (_name, surroundings, expected) => {
  for (const [name, value] of Object.entries(surroundings)) vi.stubGlobal(name, value)
  expect(createEnvironment().origin).toBe(expected)
})
