import { libraryWithSubpaths } from '../../tsup.base.ts'

export default libraryWithSubpaths(['options', 'store'])
