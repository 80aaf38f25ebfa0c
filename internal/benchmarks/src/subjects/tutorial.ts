import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import express, { type Request, type Response } from 'express'
import jwt from 'jsonwebtoken'
import type { Engine } from '../engine.js'
import { FORM, inParallel, listen, PATH, type Subject, createSubjectName } from '../subject.js'

const ACCESS_SECRET = 'benchmarks only: access tokens'
const REFRESH_SECRET = 'benchmarks only: refresh tokens'

/** The valid refresh tokens, by hash. */
interface Whitelist {
  add(hash: string, subject: string): Promise<void>
  /** Removes a token and returns its subject; null if it is not in the list. */
  take(hash: string): Promise<string | null>
}

/**
 * The design of typical articles about refresh tokens: both tokens are JWTs with a shared secret, and the valid ones
 * are in a list. It rotates and rejects used tokens. A lost response or a second tab signs the user out, and reuse is
 * not detected.
 */
export async function tutorial(engine: Engine): Promise<Subject> {
  const list = whitelistOn(engine)

  async function pairFor(subject: string) {
    const accessToken = jwt.sign({ sub: subject }, ACCESS_SECRET, { expiresIn: '15m' })
    const refreshToken = jwt.sign({ sub: subject, jti: randomBytes(16).toString('hex') }, REFRESH_SECRET, {
      expiresIn: '30d',
    })
    await list.add(hashOf(refreshToken), subject)
    return { accessToken, refreshToken }
  }

  async function refresh(request: Request, response: Response): Promise<void> {
    const { refresh_token: presented } = request.body as { refresh_token: string }
    try {
      jwt.verify(presented, REFRESH_SECRET)
    } catch {
      response.status(400).json({ error: 'invalid_grant' })
      return
    }
    const subject = await list.take(hashOf(presented))
    if (subject === null) {
      response.status(400).json({ error: 'invalid_grant' })
      return
    }
    const { accessToken, refreshToken } = await pairFor(subject)
    response.json({ access_token: accessToken, token_type: 'Bearer', expires_in: 900, refresh_token: refreshToken })
  }

  const app = express()
  app.use(express.urlencoded({ extended: false }))
  app.post(PATH, refresh)
  return {
    target: { port: await listen(createServer(app)), path: PATH, form: FORM },
    issue: (count) => inParallel(count, async (index) => (await pairFor(createSubjectName(index))).refreshToken),
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

const LIFETIME_SECONDS = 30 * 86_400

function whitelistOn(engine: Engine): Whitelist {
  switch (engine.kind) {
    case 'redis':
      return {
        async add(hash, subject) {
          await engine.client.set(`refresh:${hash}`, subject, 'EX', LIFETIME_SECONDS)
        },
        take: (hash) => engine.client.getdel(`refresh:${hash}`),
      }
    case 'sqlite': {
      const { db } = engine
      db.pragma('journal_mode = WAL')
      db.pragma('synchronous = FULL')
      db.exec('CREATE TABLE refresh_tokens (hash TEXT PRIMARY KEY, subject TEXT NOT NULL, expires_at INTEGER NOT NULL)')
      const insert = db.prepare('INSERT INTO refresh_tokens VALUES (?, ?, ?)')
      const remove = db.prepare<[string], { subject: string }>(
        'DELETE FROM refresh_tokens WHERE hash = ? RETURNING subject',
      )
      return {
        async add(hash, subject) {
          insert.run(hash, subject, Date.now() + LIFETIME_SECONDS * 1000)
        },
        take: async (hash) => remove.get(hash)?.subject ?? null,
      }
    }
    default:
      throw new Error(`the tutorial does not support ${engine.kind}`)
  }
}
