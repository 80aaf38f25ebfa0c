import { migrationSql } from '@baton/store-postgres'
import { type Command, EXIT } from '../command.js'
import { type OpenedStore, STORE_OPTIONS, withStore } from '../settings.js'

export const migrate: Command = {
  name: 'migrate',
  description: "Creates or upgrades the store's tables; safe to repeat",
  operands: '',
  maxOperands: 0,
  options: {
    print: { type: 'boolean', description: 'prints the SQL for PostgreSQL instead of running it' },
    ...STORE_OPTIONS,
  },
  async run(input) {
    if (input.has('print')) {
      const sql = migrationSql(input.text('schema'))
      input.print({ json: { sql }, text: `${sql.trimEnd()}\n` })
      return EXIT.ok
    }
    const migrateTables = async (opened: OpenedStore) => {
      await opened.postgres?.migrate()
      return opened.kind
    }
    const kind = await withStore(input, migrateTables, { mayCreate: true })
    input.print({ json: { store: kind }, text: `${RESULTS[kind]}\n` })
    return EXIT.ok
  },
}

const RESULTS = {
  sqlite: 'The tables are up to date.',
  postgres: 'The tables are up to date.',
  redis: 'Redis needs no tables.',
  custom: 'A custom store needs its own migration.',
}
