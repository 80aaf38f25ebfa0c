import { createHash } from 'node:crypto'
import { Violation } from '../history/violation.js'
import { createBrowser, type Tab } from './browser.js'
import { type Counts, createRecorder } from './recorder.js'
import { createClock } from './clock.js'
import { createNetwork } from './network.js'
import type { Incident, Plan } from './plan.js'
import { createServer, ORIGIN } from './server.js'
import { createSessionJudge } from './session-judge.js'
import { createAttacker } from './attacker.js'
import { silenceWarnings } from './warnings.js'

export interface RunReport {
  readonly counts: Counts
  /** The hash of all events: the same plan gives the same digest. */
  readonly digest: string
  readonly violation: { readonly invariant: string; readonly message: string } | null
  readonly lines: readonly string[]
}

const SECOND = 1000
const START = Date.UTC(2030, 0, 1)
/** The first sign-in has completed by then, even with a slow key service. */
const INCIDENTS_START = START + 10 * SECOND
const MAX_DELAY_MS = 130 * SECOND
const FOREIGN = 'foreign-token-of-the-system-before'

/** Plays one plan from start to end. The plan is the only input. */
export async function run(plan: Plan): Promise<RunReport> {
  const restore = plan.failingCallbacks ? silenceWarnings() : () => undefined
  try {
    return await play(plan)
  } finally {
    restore()
  }
}

async function play(plan: Plan): Promise<RunReport> {
  const clock = createClock(START)
  const recorder = createRecorder(plan)
  const server = createServer({ plan, clock, recorder })
  const broken: unknown[] = []
  const network = createNetwork({ plan, clock, server, onServerError: (error) => broken.push(error) })
  const judge = createSessionJudge({ plan, clock, recorder, onViolation: (violation) => broken.push(violation) })
  const browser = createBrowser({
    plan,
    clock,
    network,
    recorder,
    authorize: (wanted) => server.authorize(wanted),
    judge,
  })
  const attacker = createAttacker({ plan, clock, browser, network, recorder })

  async function begin(): Promise<void> {
    const tab = browser.open(0)
    if (plan.signIn === 'legacy token') {
      recorder.noteLegacyToken(FOREIGN)
      server.legacyTokens.set(FOREIGN, {
        subject: 'user 1',
        clientId: 'app',
        expiresAt: START + 90 * 24 * 3600 * SECOND,
      })
      browser.subject = 'user 1'
      browser.storeLegacyToken(FOREIGN)
      browser.open(0)
    } else await browser.signIn(tab, 'user 1')
    for (let place = 1; place < plan.tabs; place += 1) browser.open(place)
  }

  async function ask({ session }: Tab): Promise<void> {
    const { sid } = session.snapshot()
    judge.accessTokenReceived(sid, parseFamilyId(await session.getAccessToken()))
  }

  async function call({ session }: Tab): Promise<void> {
    const { sid } = session.snapshot()
    const response = await session.fetch(`${ORIGIN}/api`)
    if (response.ok) judge.accessTokenReceived(sid, parseFamilyId(await response.text()))
  }

  async function signOut({ session }: Tab): Promise<void> {
    const currentSession = judge.currentSession()
    const { revoked } = await session.logout()
    if (revoked && currentSession !== null) judge.signOutConfirmed(currentSession)
  }

  function applyIncident(incident: Incident): void {
    recorder.note(clock.now(), incident.kind)
    const tab = 'tab' in incident ? browser.tabs[incident.tab] : undefined
    const act = (work: (tab: Tab) => Promise<unknown>) => {
      if (tab !== undefined && !tab.isDead()) work(tab).catch(ignore)
    }
    switch (incident.kind) {
      case 'a tab requests a token':
        act(ask)
        break
      case 'a tab receives 401':
        browser.rejectAccessTokens()
        act(call)
        break
      case 'a tab crashes':
        tab?.crash()
        break
      case 'a tab is reloaded':
      case 'a tab opens':
        browser.open(incident.tab)
        break
      case 'sign-out':
        act(signOut)
        break
      case 'sign-in as another user':
        act((one) => browser.signIn(one, browser.subject === 'user 1' ? 'user 2' : 'user 1'))
        break
      case 'the browser is offline':
        browser.goOffline(incident.ms)
        break
      case 'the store is unavailable':
        server.store.fail(incident.ms)
        break
      case 'the key service is unavailable':
        server.failKeys(incident.ms)
        break
      case 'fail-over':
        server.store.failOver(incident.lagMs)
        break
      case 'the wall clock is shifted':
        browser.shiftWallClock(incident.ms)
        break
      case 'the attacker copies the storage':
        attacker.copy()
        break
      case 'the attacker refreshes':
        attacker.refresh().catch(ignore)
        break
      case 'the attacker presents an older token':
        attacker.refresh({ older: true }).catch(ignore)
        break
      case 'the attacker acts as another client':
        attacker.refresh({ impersonates: true }).catch(ignore)
        break
      case 'the attacker redeems the code':
        attacker.redeem().catch(ignore)
        break
      case 'the attacker redeems the code without its verifier':
        attacker.redeem({ withoutVerifier: true }).catch(ignore)
        break
      case 'a malformed request arrives':
        network.send(rubbish())
        break
      case 'all sessions are revoked':
        endAll().catch(ignore)
        break
      case 'purge':
        server.asAdministrator((tokens) => tokens.purge()).catch(ignore)
        break
      case 'the sessions are listed':
        lookForSessions().catch(ignore)
        break
    }
  }

  async function endAll(): Promise<void> {
    const before = [...recorder.families.values()].filter(({ subject }) => subject === browser.subject)
    const losses = before.map((family) => family.losses)
    await server.asAdministrator((tokens) => tokens.revokeSubject(browser.subject))
    for (const [index, family] of before.entries()) {
      const { record } = family
      const isAlive = record !== null && record.revocation === null && clock.now() < record.expiresAt - SECOND
      if (isAlive && family.losses === losses[index])
        broken.push(new Violation('I14', 'a family is active after all sessions were revoked'))
    }
  }

  async function lookForSessions(): Promise<void> {
    const before = [...recorder.families.values()].filter(
      ({ subject, record }) => subject === browser.subject && record?.revocation === null,
    )
    const { items } = await server.asAdministrator((tokens) => tokens.list({ subject: browser.subject }))
    for (const { id, record } of before) {
      const isAlive = record !== null && record.revocation === null && clock.now() < record.expiresAt - 2 * SECOND
      if (isAlive && !items.some((item) => item.id === id))
        broken.push(new Violation('I9', 'an active family was not listed'))
    }
  }

  /**
   * Turns all faults off. A user with a valid session must still be signed in, and an attacker and the owner must not
   * both succeed.
   */
  async function end(): Promise<void> {
    network.disableFaults()
    server.disableFaults()
    await clock.runUntil(clock.now() + MAX_DELAY_MS)
    const currentSession = judge.currentSession()
    const owner = async (): Promise<boolean> => {
      const tab = browser.tabs.find((one) => one !== undefined && !one.isDead())
      if (tab === undefined) return false
      browser.rejectAccessTokens()
      const { ok } = await tab.session.fetch(`${ORIGIN}/api`).catch(() => ({ ok: false }))
      return ok
    }
    const isAlive = await within(owner())
    if (
      currentSession !== null &&
      judge.mustBeAlive(currentSession) &&
      !isAlive &&
      browser.tabs.some((tab) => tab?.isDead() === false)
    )
      broken.push(new Violation('I3', 'a session that nothing has ended does not continue'))
    await competeWithAttacker(owner)
    // The next tab sends the revocations that the server has missed.
    browser.open(0)
    await clock.runUntil(clock.now() + MAX_DELAY_MS)
    judge.assertSessionsEnded()
    if (!recorder.isAllReported()) broken.push(new Violation('I19', 'a revocation was not reported'))
  }

  async function competeWithAttacker(owner: () => Promise<boolean>): Promise<void> {
    if (!attacker.hasToken()) return
    let attackerSucceeds = false
    let ownerSucceeds = false
    for (let round = 0; round < 3; round += 1) {
      await clock.runUntil(clock.now() + (plan.graceSeconds + 5) * SECOND)
      ownerSucceeds = await within(owner())
      await clock.runUntil(clock.now() + (plan.graceSeconds + 5) * SECOND)
      attackerSucceeds = await within(attacker.refresh())
    }
    if (attackerSucceeds && ownerSucceeds && attacker.family() === judge.currentSession()?.family)
      broken.push(new Violation('I6', 'an attacker and the owner both continue to refresh'))
  }

  /** Waits on the virtual clock. */
  async function within(work: Promise<boolean>): Promise<boolean> {
    let outcome = false
    void work.then((value) => (outcome = value))
    await clock.runUntil(clock.now() + 60 * SECOND)
    return outcome
  }

  function enableFaults(): void {
    network.enableFaults()
    server.store.enableFaults()
  }

  const isEnded = () => recorder.violation() !== null || broken.length > 0
  const faultsDuringSignIn = plan.signIn === 'code'
  if (faultsDuringSignIn) enableFaults()
  const beginning = begin()
  beginning.catch(ignore)
  await clock.runUntil(INCIDENTS_START)
  if (!faultsDuringSignIn && !isEnded()) await beginning
  enableFaults()
  for (const incident of plan.incidents) {
    if (isEnded()) break
    await clock.runUntil(INCIDENTS_START + incident.atMs)
    applyIncident(incident)
  }
  if (!isEnded()) await clock.runUntil(INCIDENTS_START + plan.lengthMs)
  if (!isEnded()) await end()
  return report()

  function report(): RunReport {
    const found = recorder.violation() ?? broken[0] ?? null
    if (found !== null && !(found instanceof Violation)) throw new Error('the server threw', { cause: found })
    const { lines, counts } = recorder
    return {
      counts,
      lines,
      digest: createHash('sha256').update(lines.join('\n')).digest('hex'),
      violation: found && { invariant: found.invariant, message: found.message },
    }
  }
}

function rubbish(): Parameters<ReturnType<typeof createNetwork>['send']>[0] {
  const bytes = Buffer.from('grant_type=refresh_token&client_id=app&refresh_token=brt_rubbish')
  return {
    request: {
      method: 'POST',
      url: '/oauth/token',
      headers: { host: ['app.example'], 'content-type': ['application/x-www-form-urlencoded'] },
      body: { kind: 'stream', read: async () => bytes },
      remoteAddress: '198.51.100.10',
      encrypted: true,
    },
    isOffline: false,
    isOrphaned: () => true,
    impersonates: false,
    onFailure: ignore,
    onResponse: ignore,
  }
}

/** Returns the family id of an access token. */
function parseFamilyId(token: string): string {
  return token.slice(token.lastIndexOf('.') + 1)
}

function ignore(): void {
  // Failures are checked elsewhere.
}
