import { auth } from '../../../lib/auth.ts'

/** Sign-in, refresh, sign-out and the list of sessions. */
const handle = (request: Request) => auth().handle(request)

export { handle as DELETE, handle as GET, handle as OPTIONS, handle as POST }
