// Another process on the same files: executes the calls that its parent sends, and returns the results.
import { fileStore } from '../dist/file-store.js'

process.on('message', async ({ number, folder, method, input }) => {
  const store = fileStore(folder)
  try {
    process.send({ number, answer: await store[method](...input) })
  } catch (error) {
    process.send({ number, error: String(error) })
  }
})
process.on('disconnect', () => process.exit())
