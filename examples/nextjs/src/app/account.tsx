'use client'

import { useSession } from '@baton/client/react'
import { useActionState, useEffect, useState } from 'react'
import { session, signIn } from '../lib/session.ts'

/** Shows the signed-in user, in all tabs. The server renders the signed-out state, because only the browser has the session. */
export function Account() {
  const { status, sid } = useSession(session)
  switch (status) {
    case 'unknown':
      return <p>One moment …</p>
    case 'signedOut':
      return <SignIn />
    case 'signedIn':
      // Another session may be of another user: no data of the previous one may remain on the page.
      return <Home key={sid} />
  }
}

function SignIn() {
  const [trouble, submit, isPending] = useActionState(async (_before: string, form: FormData) => {
    const text = (name: string) => {
      const value = form.get(name)
      return typeof value === 'string' ? value : ''
    }
    try {
      await signIn({ username: text('username'), password: text('password') })
      return ''
    } catch (error) {
      return error instanceof Error ? error.message : 'That did not work.'
    }
  }, '')

  return (
    <form action={submit}>
      <label>
        Name <input name="username" defaultValue="alice" autoComplete="username" />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" />
      </label>
      <button disabled={isPending}>Sign in</button>
      <p role="alert">{trouble}</p>
    </form>
  )
}

function Home() {
  const [name, setName] = useState<string | null>(null)

  useEffect(() => {
    const abort = new AbortController()
    const show = async () => {
      const response = await session.fetch('/api/me', { signal: abort.signal })
      const { sub } = (await response.json()) as { sub: string }
      setName(sub)
    }
    // If the session ends meanwhile, the status shows it.
    show().catch(() => undefined)
    return () => {
      abort.abort()
    }
  }, [])

  return (
    <section>
      <p>{name === null ? 'Asking …' : `You are ${name}.`}</p>
      <button onClick={() => void session.logout()}>Sign out</button>
    </section>
  )
}
