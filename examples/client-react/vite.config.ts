import { defineConfig } from 'vite'

const api = process.env['API'] ?? 'http://127.0.0.1:3000'

/** The page and the API have one origin, as the cookie demands; in production your own front door sees to that. */
const proxy = { '/login': api, '/auth': api, '/api': api }
const host = '127.0.0.1'

export default defineConfig({
  server: { host, proxy },
  preview: { host, proxy },
})
