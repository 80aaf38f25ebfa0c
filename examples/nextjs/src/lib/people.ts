const people = new Map([
  ['alice', 'wonderland'],
  ['bob', 'builder'],
])

/** Stands in for your check of users; null for a wrong name or password. Your app compares hashes. */
export async function subjectOf({ username, password }: Readonly<Record<string, unknown>>) {
  if (typeof username !== 'string' || people.get(username) !== password) return null
  return { subject: username }
}
