import { Server } from 'node:net'
import { pathToFileURL } from 'node:url'

// Programs in the documentation all listen on port 3000. Here each gets a free port of its own, on this machine only.
const { listen } = Server.prototype
Server.prototype.listen = function (...args) {
  this.once('listening', () => process.send({ port: this.address().port }))
  const callbacks = args.filter((argument) => typeof argument === 'function')
  return listen.call(this, 0, '127.0.0.1', ...callbacks)
}

process.once('message', () => process.exit())
// Whoever waits for the message must not be kept alive by it.
process.channel.unref()

await import(pathToFileURL(process.argv[2]))
process.send({ evaluated: true })
