import { expect, it } from 'vitest'
import { sideBySide } from '../src/side-by-side.js'

it('who asks in one turn goes on side by side, step for step, and whoever comes later with the next', async () => {
  const steps: string[] = []
  async function request(name: string): Promise<void> {
    await sideBySide()
    steps.push(`${name}1`)
    await Promise.resolve()
    steps.push(`${name}2`)
  }
  const first = ['a', 'b', 'c'].map(request)
  const later = new Promise((resolve) => setImmediate(resolve)).then(() => request('d'))
  await Promise.all([...first, later])
  expect(steps).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2', 'd1', 'd2'])
})
