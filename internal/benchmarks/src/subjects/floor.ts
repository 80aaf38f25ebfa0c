import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { Engine } from '../engine.js'
import { FORM, inParallel, listen, PATH, type Subject, createSubjectName } from '../subject.js'

/** A minimal session: a constant id, the hash of the current secret, and the subject. */
export interface Floor {
  create(id: string, hash: string, subject: string): Promise<void>
  /** Swaps the hash if it is the expected one. */
  swap(id: string, expected: string, hash: string): Promise<boolean>
}

/**
 * The minimal code for a rotation on an engine: an opaque token that is compared and swapped. It has no reuse
 * detection, no retries, no limits, no clients and no real access token. Code with more features cannot be faster on
 * the same engine.
 */
export async function floor(engine: Engine): Promise<Subject> {
  const store = await floorOn(engine)
  const server = createServer((request, response) => {
    let form = ''
    request.setEncoding('latin1')
    request.on('data', (text: string) => (form += text))
    request.on('end', () => {
      const token = form.slice(form.indexOf('refresh_token=', FORM.length - 14) + 14)
      const [id = '', secret = ''] = token.split('.')
      const successor = randomBytes(24).toString('base64url')
      const answer = (swapped: boolean) => {
        response.writeHead(swapped ? 200 : 400, { 'content-type': 'application/json' })
        response.end(
          `{"access_token":"${randomBytes(24).toString('base64url')}","token_type":"Bearer","expires_in":900,"refresh_token":"${id}.${successor}"}`,
        )
      }
      store.swap(id, hashOf(secret), hashOf(successor)).then(answer, () => response.destroy())
    })
  })
  return {
    target: { port: await listen(server), path: PATH, form: FORM },
    issue: (count) =>
      inParallel(count, async (index) => {
        const [id, secret] = [randomBytes(16).toString('base64url'), randomBytes(24).toString('base64url')]
        await store.create(id, hashOf(secret), createSubjectName(index))
        return `${id}.${secret}`
      }),
  }
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

export async function floorOn(engine: Engine): Promise<Floor> {
  switch (engine.kind) {
    case 'memory': {
      const hashes = new Map<string, string>()
      return {
        async create(id, hash) {
          hashes.set(id, hash)
        },
        async swap(id, expected, hash) {
          if (hashes.get(id) !== expected) return false
          hashes.set(id, hash)
          return true
        },
      }
    }
    case 'sqlite':
      return sqliteFloor(engine.db)
    case 'redis':
    case 'cluster':
      return redisFloor(engine.client)
    case 'postgres':
      return postgresFloor(engine.pool)
  }
}

type On<Kind extends Engine['kind']> = Extract<Engine, { kind: Kind }>

/** Swaps that wait at the same time share a transaction. */
function sqliteFloor(db: On<'sqlite'>['db']): Floor {
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.exec('CREATE TABLE sessions (id TEXT PRIMARY KEY, hash TEXT NOT NULL, subject TEXT NOT NULL) WITHOUT ROWID')
  const insert = db.prepare('INSERT INTO sessions VALUES (?, ?, ?)')
  const update = db.prepare('UPDATE sessions SET hash = ? WHERE id = ? AND hash = ?')
  const [begin, commit] = [db.prepare('BEGIN IMMEDIATE'), db.prepare('COMMIT')]
  let waiting: { readonly run: () => boolean; readonly done: (swapped: boolean) => void }[] = []

  function commitAll(): void {
    const batch = waiting
    waiting = []
    begin.run()
    const answers = batch.map(({ run }) => run())
    commit.run()
    for (const [index, { done }] of batch.entries()) done(answers[index] ?? false)
  }

  const together = (run: () => boolean) =>
    new Promise<boolean>((done) => {
      if (waiting.push({ run, done }) === 1) setImmediate(commitAll)
    })
  return {
    async create(id, hash, subject) {
      await together(() => insert.run(id, hash, subject).changes === 1)
    },
    swap: (id, expected, hash) => together(() => update.run(hash, id, expected).changes === 1),
  }
}

const SWAP = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', 2592000000)
return 1`

async function redisFloor(client: On<'redis' | 'cluster'>['client']): Promise<Floor> {
  const sha = createHash('sha1').update(SWAP).digest('hex')
  await ('nodes' in client
    ? Promise.all(client.nodes('master').map((node) => node.script('LOAD', SWAP)))
    : client.script('LOAD', SWAP))
  return {
    async create(id, hash) {
      await client.set(id, hash, 'PX', 2592000000)
    },
    swap: async (id, expected, hash) => (await client.evalsha(sha, 1, id, expected, hash)) === 1,
  }
}

async function postgresFloor(pool: On<'postgres'>['pool']): Promise<Floor> {
  await pool.query(
    'CREATE TABLE sessions (id text PRIMARY KEY, hash text NOT NULL, subject text NOT NULL) WITH (fillfactor = 70)',
  )
  return {
    async create(id, hash, subject) {
      await pool.query('INSERT INTO sessions VALUES ($1, $2, $3)', [id, hash, subject])
    },
    async swap(id, expected, hash) {
      const text = 'UPDATE sessions SET hash = $1 WHERE id = $2 AND hash = $3 RETURNING id, subject'
      const { rowCount } = await pool.query({ name: 'swap', text, values: [hash, id, expected] })
      return rowCount === 1
    },
  }
}
