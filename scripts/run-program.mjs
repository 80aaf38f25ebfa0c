import { Server } from 'node:net'
import { pathToFileURL } from 'node:url'

// Programs in the documentation all listen on port 3000. Here each one gets its own free port on the loopback
// interface.
const { listen } = Server.prototype
Server.prototype.listen = function (...args) {
  this.once('listening', () => process.send({ port: this.address().port }))
  const callbacks = args.filter((argument) => typeof argument === 'function')
  return listen.call(this, 0, '127.0.0.1', ...callbacks)
}

process.once('message', () => process.exit())
// The message channel must not keep the program running.
process.channel.unref()

await import(pathToFileURL(process.argv[2]))
process.send({ evaluated: true })
