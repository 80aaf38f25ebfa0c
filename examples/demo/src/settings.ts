/** Returns the settings of the example server: the defaults, overridden by the environment. */
export function settings<Name extends string>(defaults: Readonly<Record<Name, string>>): Record<Name, string> {
  const chosen: Record<Name, string> = { ...defaults }
  for (const name of Object.keys(defaults) as Name[]) chosen[name] = process.env[name] ?? defaults[name]
  return chosen
}
