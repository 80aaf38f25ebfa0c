/** Runs once when the server starts, but not in a build. Invalid settings stop the start. Expired sessions are purged every hour. */
export async function register() {
  if (process.env['NEXT_RUNTIME'] !== 'nodejs') return
  const { auth } = await import('./lib/auth.ts')
  const { tokens } = auth()
  setInterval(() => void tokens.purge().catch(console.error), 3_600_000).unref()
}
