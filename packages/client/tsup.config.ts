import { webLibraryWithSubpaths } from '../../tsup.base.ts'

export default webLibraryWithSubpaths([
  'authorization',
  'axios',
  'cookie',
  'cross-tab',
  'discovery',
  'dpop',
  'file',
  'indexed-db',
  'ky',
  'logout-everywhere',
  'oauth',
  'react',
  'web-storage',
])
