import { libraryWith } from '../../tsup.base.ts'
import { pageAsText } from './page-as-text.ts'

export default libraryWith([pageAsText])
