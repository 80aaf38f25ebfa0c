const people = new Map([
  ['alice', 'wonderland'],
  ['bob', 'builder'],
])

/** Your own check of who is asking; null is a wrong name or password. Yours compares hashes. */
export async function subjectOf({ username, password }: Readonly<Record<string, unknown>>) {
  if (typeof username !== 'string' || people.get(username) !== password) return null
  return { subject: username }
}
