export { sqliteStore } from './sqlite-store.js'
export type { SqliteDatabase, SqliteParameters, SqliteStatement } from './database.js'
