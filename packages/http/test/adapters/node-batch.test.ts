import type { IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { handleNodeRequest } from '../../src/index.js'

it('starts all requests of one turn before it continues any of them', async () => {
  const steps: string[] = []
  const arrive = async (name: string) => {
    const request = { url: `/${name}`, rawHeaders: [], socket: {}, readableDidRead: true }
    await handleNodeRequest(
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
