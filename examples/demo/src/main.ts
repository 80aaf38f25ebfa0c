import { parseArgs } from 'node:util'
import { tellOnce } from './once.js'
import { show } from './show.js'

const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } })
process.exitCode = await (values.once ? tellOnce() : show())
