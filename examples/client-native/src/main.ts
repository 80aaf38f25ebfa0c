import { requestUser, sessionPath, signOut, tokenEndpoint } from './app.js'
import { useCopiedSession } from './attacker.js'

const commands = new Map([
  ['user', requestUser],
  ['attacker', () => useCopiedSession({ file: sessionPath, tokenEndpoint })],
  ['sign-out', signOut],
])

const [name = 'user'] = process.argv.slice(2)
const command = commands.get(name)
if (command === undefined) throw new Error(`the command must be one of ${[...commands.keys()].join(', ')}, got ${name}`)
await command()
