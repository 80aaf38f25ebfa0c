import { parseArgs } from 'node:util'
import { runOnce } from './once.js'
import { serveDemo } from './show.js'

const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } })
process.exitCode = await (values.once ? runOnce() : serveDemo())
