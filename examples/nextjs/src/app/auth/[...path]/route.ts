import { auth } from '../../../lib/auth.ts'

/** Sign-in, refresh, sign-out and the list of one's devices. */
const handle = (request: Request) => auth().handle(request)

export { handle as DELETE, handle as GET, handle as OPTIONS, handle as POST }
