export { type PostgresStore, postgresStore, type PostgresStoreOptions } from './postgres-store.js'
export { migrationSql } from './schema.js'
export type { Query, Queryable } from './client.js'
