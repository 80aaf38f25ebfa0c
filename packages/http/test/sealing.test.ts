import { expect, it } from 'vitest'
import { sealing } from '../src/sealing.js'

it('what an earlier version has sealed still opens', () => {
  const secrets = ['no secret, but 32 bytes long or more']
  const sealed = sealing({ option: 'secrets', secrets, purpose: 'test', prefix: 'bst_' })
  expect(sealed.open('bst_AfP66XvdJyJzkHBLwIU8jMw7LDou7NzRPR--7HzUcMVHcNctdH5zfH7MBrfMJ42dcyOmSofc')).toBe(
    'the content of grüße',
  )
})
