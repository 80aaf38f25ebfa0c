import { webLibrary } from '../../tsup.base.ts'

export default webLibrary('@baton/client', [
  'index',
  'authorization',
  'dpop',
  'file',
  'indexed-db',
  'web-storage',
])
