import { expect, it } from 'vitest'
import { createSealer } from '../../src/crypto/sealer.js'

it('opens a text that an earlier version sealed', () => {
  const secrets = [Buffer.from('no secret, but 32 bytes long or more')] as const
  const sealer = createSealer({ secrets, purpose: 'test', prefix: 'bst_' })
  expect(sealer.open('bst_AfP66XvdJyJzkHBLwIU8jMw7LDou7NzRPR--7HzUcMVHcNctdH5zfH7MBrfMJ42dcyOmSofc')).toBe(
    'the content of grüße',
  )
})
