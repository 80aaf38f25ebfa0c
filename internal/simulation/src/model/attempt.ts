import type { Place } from './world.js'

/** The Idempotency-Key of an attempt to exchange one token. Tabs that share a storage share it. */
export function createAttemptKey(place: Place, text: string): string {
  return `${place}: ${text}`
}

export function parseAttemptKey(key: string): { place: string; text: string } {
  const [place = '', text = ''] = key.split(': ')
  return { place, text }
}
