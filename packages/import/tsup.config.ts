import { libraryWithEsmOnly } from '../../tsup.base.ts'

export default libraryWithEsmOnly(['jose'])
