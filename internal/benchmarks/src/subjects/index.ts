import type { Engine } from '../engine.js'
import type { Row } from '../row.js'
import type { Subject } from '../subject.js'

/** Starts the subject of a row, and imports no other subject. */
export async function startSubject(row: Row, engine: Engine): Promise<Subject> {
  switch (row.implementation) {
    case 'baton':
      return (await import('./baton.js')).baton(row, engine)
    case 'bare':
      return (await import('./bare.js')).bare(row)
    case 'broken':
      return (await import('./bare.js')).broken(row)
    case 'floor':
      return (await import('./floor.js')).floor(engine)
    case 'oidc-provider':
      return (await import('./oidc-provider.js')).oidcProvider(engine)
    case 'oauth2-server':
      return (await import('./oauth2-server.js')).oauth2Server(engine)
    case 'better-auth':
      return (await import('./better-auth.js')).betterAuthServer(engine)
    case 'tutorial':
      return (await import('./tutorial.js')).tutorial(engine)
  }
}
