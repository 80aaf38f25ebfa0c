import type { Place } from './world.js'

/** The Idempotency-Key of an attempt to leave one generation: one for each token and storage, whoever of those who share it asks. */
export function createAttemptKey(place: Place, text: string): string {
  return `${place}: ${text}`
}

export function parseAttemptKey(key: string): { place: string; text: string } {
  const [place = '', text = ''] = key.split(': ')
  return { place, text }
}
