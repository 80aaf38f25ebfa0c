/** Prints one line that names the setting, and ends the process: a server must not start half right. */
export function refuse(name: string, problem: string): never {
  console.error(`${name}: ${problem}`)
  process.exit(1)
}

/** A setting of the environment, or undefined where it is not set. An empty one is a slip, not a wish for the default. */
export function setting(name: string): string | undefined {
  const value = process.env[name]
  if (value?.trim() === '') refuse(name, 'is set but empty; give it a value or unset it')
  return value
}

/** A setting that is a whole number of a range. */
export function wholeNumber(
  name: string,
  { byDefault, least, most }: { byDefault: number; least: number; most: number },
): number {
  const text = setting(name)
  if (text === undefined) return byDefault
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least && value <= most) return value
  return refuse(name, `${JSON.stringify(text)} is not a whole number from ${least} to ${most}`)
}
