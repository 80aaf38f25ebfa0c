import { defineConfig } from 'vite'

const api = process.env['API'] ?? 'http://127.0.0.1:3000'

/** The page and the API share one origin, which the cookie requires. In production a reverse proxy does this. */
const proxy = { '/login': api, '/auth': api, '/api': api }
const host = '127.0.0.1'

export default defineConfig({
  server: { host, proxy },
  preview: { host, proxy },
})
