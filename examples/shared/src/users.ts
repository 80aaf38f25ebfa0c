import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const HASH_BYTES = 32
const hash = promisify<string, Buffer, number, Buffer>(scrypt)

/** Stands in for your user database, which contains only salts and hashes. */
const users = new Map([
  ['alice', hashPassword('wonderland')],
  ['bob', hashPassword('builder')],
])
/** An unknown name takes as long as a wrong password. */
const unknownUser = hashPassword(randomBytes(HASH_BYTES).toString('base64'))

/** Returns the subject with this name and password, or null. */
export async function verifyPassword(username: string, password: string): Promise<string | null> {
  const { salt, expected } = await (users.get(username) ?? unknownUser)
  const isRight = timingSafeEqual(await hash(password, salt, HASH_BYTES), expected)
  return isRight && users.has(username) ? username : null
}

/** Returns true if a user with this name exists. Do not reveal this to clients. */
export function isUser(username: string): boolean {
  return users.has(username)
}

async function hashPassword(password: string) {
  const salt = randomBytes(16)
  return { salt, expected: await hash(password, salt, HASH_BYTES) }
}
