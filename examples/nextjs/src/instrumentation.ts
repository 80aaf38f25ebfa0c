/** Runs once when the server starts, and not in a build: wrong settings stop the start, and sessions that are over are forgotten. */
export async function register() {
  if (process.env['NEXT_RUNTIME'] !== 'nodejs') return
  const { auth } = await import('./lib/auth.ts')
  const { tokens } = auth()
  setInterval(() => void tokens.purge().catch(console.error), 3_600_000).unref()
}
