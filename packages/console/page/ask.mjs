/** Asks the endpoint that this page came from. Throws an error whose message is for the operator. */
export async function ask(question) {
  let answer
  try {
    answer = await fetch(location.pathname, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-baton': '1' },
      body: JSON.stringify(question),
      cache: 'no-store',
    })
  } catch {
    throw new Error('The server cannot be reached.')
  }
  const body = await answer.json().catch(() => ({}))
  if (answer.ok) return body
  if (answer.status === 403) throw new Error('You may not do this any more. Sign in again and load the page anew.')
  throw new Error(body.message ?? `The server answered ${answer.status}.`)
}
