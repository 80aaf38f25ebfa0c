export { run } from './run.js'
export type { Surroundings } from './command.js'
