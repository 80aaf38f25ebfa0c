export { internal as default } from '../../tsup.base.ts'
