/** Prints a message that names the setting and exits with 1. */
export function exitWithProblem(name: string, problem: string): never {
  console.error(`${name}: ${problem}`)
  process.exit(1)
}

/** Reads an environment variable. Returns undefined if it is not set; an empty one is an error. */
export function readSetting(name: string): string | undefined {
  const value = process.env[name]
  if (value?.trim() === '') exitWithProblem(name, 'is empty; set a value or unset it')
  return value
}

/** Reads an integer within a range. */
export function readInteger(
  name: string,
  { defaultValue, min, max }: { defaultValue: number; min: number; max: number },
): number {
  const text = readSetting(name)
  if (text === undefined) return defaultValue
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  return exitWithProblem(name, `${JSON.stringify(text)} must be an integer from ${min} to ${max}`)
}
