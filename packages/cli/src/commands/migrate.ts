import { migrationSql } from '@baton/store-postgres'
import { type Command, EXIT } from '../command.js'
import { type Opened, STORE_OPTIONS, withStore } from '../settings.js'

export const migrate: Command = {
  name: 'migrate',
  about: "Creates or upgrades the store's tables; safe to repeat",
  operands: '',
  mostOperands: 0,
  options: {
    print: { type: 'boolean', about: 'writes the SQL for PostgreSQL instead of running it' },
    ...STORE_OPTIONS,
  },
  async run(input) {
    if (input.has('print')) {
      const sql = migrationSql(input.text('schema'))
      input.print({ json: { sql }, text: `${sql.trimEnd()}\n` })
      return EXIT.ok
    }
    const migrated = async (opened: Opened) => {
      await opened.postgres?.migrate()
      return opened.kind
    }
    const kind = await withStore(input, migrated, { mayCreate: true })
    input.print({ json: { store: kind }, text: `${DONE[kind]}\n` })
    return EXIT.ok
  },
}

const DONE = {
  sqlite: 'The tables are there.',
  postgres: 'The tables are there.',
  redis: 'Redis needs no tables.',
  own: 'A store of your own migrates itself.',
}
