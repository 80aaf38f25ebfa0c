import { ask, sessionPath, signOut, tokenEndpoint } from './app.js'
import { steal } from './thief.js'

const commands = new Map([
  ['ask', ask],
  ['thief', () => steal({ file: sessionPath, tokenEndpoint })],
  ['sign-out', signOut],
])

const [name = 'ask'] = process.argv.slice(2)
const command = commands.get(name)
if (command === undefined) throw new Error(`${name} is none of ${[...commands.keys()].join(', ')}`)
await command()
