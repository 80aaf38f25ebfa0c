export type { ConsoleAction } from './actions.js'
export { consoleEndpoint, type ConsoleOptions } from './console.js'
export { type Counts, type EventLog, memoryEventLog, type MemoryEventLogOptions } from './event-log.js'
export { type History, historyOf, type Step } from './history.js'
