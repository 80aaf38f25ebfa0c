export { run } from './run.js'
export type { CommandContext } from './command.js'
