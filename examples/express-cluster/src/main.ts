import cluster from 'node:cluster'
import { readEnvironment, redisUrls } from '@baton-examples/shared'
import { supervise } from './supervise.js'
import { serveAsWorker } from './worker.js'

const WORKERS = 3

if (cluster.isPrimary) {
  // Checked here as well, so that an error is printed only once.
  redisUrls()
  supervise(WORKERS, readEnvironment())
} else {
  await serveAsWorker()
}
