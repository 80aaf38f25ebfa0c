import { useSession } from '@baton/client/react'
import { type SubmitEvent, useEffect, useState } from 'react'
import { session, signIn } from './session.ts'

export function App() {
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
  const [trouble, setTrouble] = useState('')

  async function submit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const text = (name: string) => {
      const value = form.get(name)
      return typeof value === 'string' ? value : ''
    }
    try {
      await signIn(text('username'), text('password'))
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : 'That did not work.')
    }
  }

  return (
    <form onSubmit={(event) => void submit(event)}>
      <label>
        Name <input name="username" defaultValue="alice" autoComplete="username" />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" />
      </label>
      <button>Sign in</button>
      <p role="alert">{trouble}</p>
    </form>
  )
}

function Home() {
  const [name, setName] = useState<string | null>(null)
  const [asked, setAsked] = useState(0)
  const { scope } = useSession(session)

  useEffect(() => {
    let isShown = true
    const show = async () => {
      const response = await session.fetch('/api/me')
      const { sub } = (await response.json()) as { sub: string }
      if (isShown) setName(sub)
    }
    // If the session ends meanwhile, the status shows it.
    show().catch(() => undefined)
    return () => {
      isShown = false
    }
  }, [asked])

  return (
    <section>
      <p>
        {name === null ? 'Asking …' : `You are ${name}.`} You may {scope ?? 'do things'}. Asked {asked + 1} times.
      </p>
      <button onClick={() => setAsked(asked + 1)}>Ask again</button>
      <button onClick={() => void session.logout()}>Sign out</button>
    </section>
  )
}
