import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const HASH_BYTES = 32
const hash = promisify<string, Buffer, number, Buffer>(scrypt)

/** Stands in for your table of users. Yours holds salts and hashes only, made when people chose their passwords. */
const people = new Map([
  ['alice', enrol('wonderland')],
  ['bob', enrol('builder')],
])
/** Nobody's: an unknown name takes as long as a wrong password. */
const nobody = enrol(randomBytes(HASH_BYTES).toString('base64'))

/** The subject whose name and password these are, or null. */
export async function personWith(username: string, password: string): Promise<string | null> {
  const { salt, expected } = await (people.get(username) ?? nobody)
  const isRight = timingSafeEqual(await hash(password, salt, HASH_BYTES), expected)
  return isRight && people.has(username) ? username : null
}

/** Whether there is somebody of this name: not to be told to strangers. */
export function isPerson(username: string): boolean {
  return people.has(username)
}

async function enrol(password: string) {
  const salt = randomBytes(16)
  return { salt, expected: await hash(password, salt, HASH_BYTES) }
}
