import { Account } from './account.tsx'

export default function Page() {
  return (
    <>
      <h1>Baton under Next.js</h1>
      <Account />
    </>
  )
}
