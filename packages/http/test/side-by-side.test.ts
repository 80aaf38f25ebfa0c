import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage } from 'node:http'
import { syncBuiltinESMExports } from 'node:module'
import timers from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { answerNodeRequest } from '../src/index.js'
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

it('each goes on in the context that it came with', async () => {
  const context = new AsyncLocalStorage<string>()
  const contexts = ['a', 'b'].map((name) =>
    context.run(name, async () => {
      await sideBySide()
      return context.getStore()
    }),
  )
  expect(await Promise.all(contexts)).toEqual(['a', 'b'])
})

it('a turn ends, although an app under test has replaced its timers', async () => {
  onTestFinished(() => {
    vi.restoreAllMocks()
    syncBuiltinESMExports()
  })
  vi.spyOn(timers, 'setImmediate').mockReturnValue(new Promise(() => undefined))
  syncBuiltinESMExports()
  await sideBySide()
})

it('requests that arrive together are answered side by side', async () => {
  const steps: string[] = []
  const arrive = async (name: string) => {
    const request = { url: `/${name}`, rawHeaders: [], socket: {}, readableDidRead: true }
    await answerNodeRequest(
      async ({ url }) => {
        steps.push(`${url} asked`)
        await Promise.resolve()
        return { status: 200, headers: [], body: null }
      },
      request as unknown as IncomingMessage,
    )
    steps.push(`/${name} answered`)
  }
  await Promise.all([arrive('a'), new Promise<void>((resolve) => process.nextTick(resolve)).then(() => arrive('b'))])
  expect(steps).toEqual(['/a asked', '/b asked', '/a answered', '/b answered'])
})
