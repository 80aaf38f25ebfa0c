import { webLibrary } from '../../tsup.base.ts'

export default webLibrary('@baton/client', [
  'index',
  'authorization',
  'axios',
  'discovery',
  'dpop',
  'file',
  'indexed-db',
  'ky',
  'react',
  'web-storage',
])
