import { webLibraryWithSubpaths } from '../../tsup.base.ts'

export default webLibraryWithSubpaths([
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
