import { connection } from 'next/server.js'
import { auth } from '../../../lib/auth.ts'

export async function GET(request: Request): Promise<Response> {
  await connection()
  const verdict = await auth().guard(request)
  if (!verdict.ok) return verdict.response
  return Response.json({ sub: verdict.claims.sub }, { headers: verdict.headers })
}
