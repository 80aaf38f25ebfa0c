/** The settings of the example server: these, except where the environment says otherwise. */
export function settings<Name extends string>(byDefault: Readonly<Record<Name, string>>): Record<Name, string> {
  const chosen: Record<Name, string> = { ...byDefault }
  for (const name of Object.keys(byDefault) as Name[]) chosen[name] = process.env[name] ?? byDefault[name]
  return chosen
}
