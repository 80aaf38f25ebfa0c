/** An instant as databases and libraries give it: a Date, ISO 8601 text, or seconds or milliseconds since 1970. */
export type Instant = Date | string | number | bigint

/** Below this a number counts seconds: as milliseconds it would be an instant of 1973. */
const MIN_MILLISECONDS = 1e11

/**
 * Epoch milliseconds of an instant. Text without a zone is UTC, as SQLite and most servers mean it, whatever zone this machine is
 * in. Throws `TypeError` for anything else: a wrong end would sign people out, or never.
 */
export function millisecondsOf(name: string, instant: Instant): number {
  const milliseconds = Math.round(parse(instant))
  if (!Number.isFinite(milliseconds))
    throw new TypeError(`${name}: expected a Date, ISO 8601 text or seconds or milliseconds since 1970`)
  return milliseconds
}

function parse(instant: Instant): number {
  if (instant instanceof Date) return instant.getTime()
  if (typeof instant === 'string' && !/^\d+(\.\d+)?$/.test(instant)) return Date.parse(inUtc(instant))
  const count = isCount(instant) ? Number(instant) : Number.NaN
  return count < MIN_MILLISECONDS ? count * 1000 : count
}

/** Types bind only programs that are written in TypeScript. */
function isCount(instant: unknown): boolean {
  return ['number', 'bigint', 'string'].includes(typeof instant)
}

function inUtc(text: string): string {
  const [, date, time] = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)$/.exec(text) ?? []
  return date === undefined || time === undefined ? text : `${date}T${time}Z`
}
