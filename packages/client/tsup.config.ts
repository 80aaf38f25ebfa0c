import { webLibrary } from '../../tsup.base.ts'

export default webLibrary('@baton/client', [
  'index',
  'authorization',
  'axios',
  'cookie',
  'discovery',
  'dpop',
  'file',
  'indexed-db',
  'ky',
  'logout-everywhere',
  'oauth',
  'react',
  'sharing',
  'web-storage',
])
