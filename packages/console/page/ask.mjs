/** Sends a request to the endpoint that served this page. Throws an error whose message is shown to the operator. */
export async function ask(question) {
  let response
  try {
    response = await fetch(location.pathname, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-baton': '1' },
      body: JSON.stringify(question),
      cache: 'no-store',
    })
  } catch {
    throw new Error('The server cannot be reached.')
  }
  const body = await response.json().catch(() => ({}))
  if (response.ok) return body
  if (response.status === 403)
    throw new Error('You are no longer allowed to do this. Sign in again and reload the page.')
  throw new Error(body.message ?? `The server responded with status ${response.status}.`)
}
