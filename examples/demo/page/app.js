import { createHistory, getCurrentGeneration, describeFamily } from './history.js'
import { draw } from './picture.js'
import { createSessions, fingerprint, isSignedOut, pause, sendRefresh, signedOut } from './session.js'
import { createTabs } from './tabs.js'

/** The maximum number of lines in the output of a step. */
const MAX_LINES = 8

const $ = (id) => document.getElementById(id)
const facts = await (await fetch('/demo/facts')).json()
const sessions = createSessions({ run: facts.run, onChange: render })
let history = createHistory()
let prints = {}

// ---- Observer ----

const source = new EventSource('/demo/observations')
source.onopen = () => {
  // Every connection starts with all earlier observations.
  history = createHistory()
  $('trouble').hidden = true
  render()
}
source.onmessage = ({ data }) => {
  history.add(JSON.parse(data))
  render()
}
source.onerror = () => {
  $('trouble').textContent = 'No connection to the demo. Is it still running in your terminal?'
  $('trouble').hidden = false
}

// ---- Tabs ----

const tab = new URLSearchParams(location.search).get('tab')
if (tab) {
  $('tab-name').textContent = `Tab ${tab}`
  $('tab-name').hidden = false
  document.title = `Tab ${tab}: ${document.title}`
}

const tabs = createTabs({
  prepare() {
    const refresh = sessions.armUnlocked('laptop')
    return async () => {
      try {
        const tokens = await refresh()
        return fingerprint(tokens.refreshToken)
      } catch {
        return 'rejected'
      }
    }
  },
  onCount(count) {
    $('race').textContent =
      ['Send two concurrent refreshes', 'Refresh in both tabs at once'][count - 1] ??
      `Refresh in all ${count} tabs at once`
  },
})

// ---- Steps ----

$('sign-in').addEventListener('submit', async (event) => {
  event.preventDefault()
  const { username, password } = Object.fromEntries(new FormData(event.target))
  const button = event.target.querySelector('button')
  button.disabled = true
  const before = sessions.read()
  const fine = await sessions.signIn('laptop', username, password)
  if (fine && (!before.phone?.refreshToken || before.phone.username !== username))
    await sessions.signIn('phone', username, password)
  if (fine) {
    sessions.write({ attacker: null })
    for (const output of document.querySelectorAll('output')) output.replaceChildren()
  }
  setMessage('why', fine ? '' : 'Wrong name or password. Try alice with wonderland, or bob with builder.')
  button.disabled = false
  if (fine) $('call').focus()
})
// Enabled only now: without this listener, the browser would submit the form by itself.
$('sign-in').querySelector('button').disabled = false

step('call', 'call-said', async (log) => {
  await sessions.call('laptop', createCallReporter(log))
})

step('expire', 'expire-said', async (log) => {
  const { accessUntil, accessToken } = sessions.read().laptop
  const left = Math.ceil((accessUntil - Date.now()) / 1000)
  if (left > 0) log(`Waiting ${left} s until the access token expires …`)
  // The client counts from before the request, and the server from its arrival.
  await pause(Math.max(0, accessUntil - Date.now()) + 1500)
  // If another tab has refreshed meanwhile, the access token is new.
  if (sessions.read().laptop?.accessToken !== accessToken)
    log('Another refresh happened meanwhile, so this token is new.')
  await sessions.call('laptop', createCallReporter(log))
})

step('lose', 'lose-said', async (log) => {
  const before = await fingerprint(sessions.read().laptop.refreshToken)
  log(`Sent token ${before}.`)
  const tokens = await sessions.refresh('laptop', {
    lose: true,
    onLost: () => log('The connection broke: the server has issued a new token, and the response was lost. Retrying …'),
  })
  const received = await fingerprint(tokens.refreshToken)
  const { lost, generation } = await waitForNode(tokens.familyId, received)
  log(
    lost > 0
      ? `Received ${received}: the same token as in the lost response, generation ${generation}.`
      : `Received ${received}, which is not the token of the lost response.`,
    lost > 0 ? 'good' : 'bad',
  )
})

step('race', 'race-said', async (log) => {
  const { alone, results } = await tabs.atOnce()
  const different = new Set(results)
  const who = alone ? 'This is the only tab, so it sent two requests.' : `${results.length} tabs, one request each.`
  log(who)
  if (different.has('rejected')) throw signedOut('rejected')
  log(
    different.size === 1
      ? `Every response had the same token, ${results[0]}.`
      : `The responses had different tokens: ${[...different].join(', ')}.`,
    different.size === 1 ? 'good' : 'bad',
  )
})

step('steal', 'steal-said', async (log) => {
  const { refreshToken, familyId } = sessions.read().laptop
  const print = await fingerprint(refreshToken)
  const { generation } = await waitForNode(familyId, print)
  sessions.write({ attacker: { refreshToken, familyId, generation } })
  log(`The attacker has a copy of token ${print}, generation ${generation}. The server cannot detect this yet.`)
})

step('carry-on', 'steal-said', async (log) => {
  for (let times = 0; times < 2; times += 1) {
    const tokens = await sessions.refresh('laptop')
    const print = await fingerprint(tokens.refreshToken)
    const { generation } = await waitForNode(tokens.familyId, print)
    log(`The laptop refreshed and has ${print}, generation ${generation}.`)
  }
})

step('replay', 'steal-said', async (log) => {
  const { attacker } = sessions.read()
  const { status, body } = await sendRefresh('attacker', attacker.refreshToken)
  if (status === 200) {
    const print = await fingerprint(body.refresh_token)
    const generation = attacker.generation + 1
    sessions.write({ attacker: { ...attacker, refreshToken: body.refresh_token, generation } })
    log(
      `The attacker was faster: ${status}, token ${print}, generation ${generation}. Reuse is detected when one of the two presents an old token after the grace window. Let the laptop refresh, wait a few seconds, and try again.`,
      'bad',
    )
    return
  }
  sessions.write({ attacker: { ...attacker, refreshToken: null } })
  log(`The attacker got ${status} ${body.error}.`, 'good')
  const { laptop } = sessions.read()
  if (laptop?.familyId !== attacker.familyId || !laptop.refreshToken) return
  // An app notices at its next refresh. The demo refreshes at once.
  const rejected = await sessions.refresh('laptop').then(
    () => false,
    (error) => isSignedOut(error),
  )
  log(
    rejected
      ? 'The laptop’s next refresh was rejected too: two parties had the same token, and the server cannot tell which one is Alice. She can sign in again; the attacker cannot.'
      : 'The laptop is still signed in.',
    rejected ? 'bad' : '',
  )
})

step('phone', 'phone-said', async (log) => {
  const tokens = await sessions.refresh('phone')
  const print = await fingerprint(tokens.refreshToken)
  const { generation } = await waitForNode(tokens.familyId, print)
  log(`The phone refreshed and has ${print}, generation ${generation}.`)
  await sessions.call('phone', createCallReporter(log))
})

step('sign-out', 'out-said', async (log) => {
  await sessions.signOut('laptop')
  log('The laptop’s family is revoked. The phone’s is still active.', 'good')
})

step('everywhere', 'out-said', async (log) => {
  const by = sessions.read().laptop?.refreshToken ? 'laptop' : 'phone'
  await sessions.signOutEverywhere(by)
  sessions.forget('laptop')
  sessions.forget('phone')
  log('All families of this user are revoked, on all devices.', 'good')
})

/** Binds a button to a step. `log` adds a line to its output, which the first button of a step clears. */
function step(buttonId, outputId, run) {
  const button = $(buttonId)
  const output = $(outputId)
  const begins = output.htmlFor[0] === buttonId || output.htmlFor.length === 2
  const log = (sentence, tone = '') => {
    const line = document.createElement('span')
    line.className = tone
    line.textContent = sentence
    output.append(line)
    if (output.children.length > MAX_LINES) output.firstChild.remove()
  }
  button.addEventListener('click', async () => {
    // Not disabled while it runs, which would move the keyboard focus away.
    if (button.hasAttribute('aria-busy')) return
    button.setAttribute('aria-busy', 'true')
    if (begins) output.replaceChildren()
    try {
      await run(log)
    } catch (error) {
      if (isSignedOut(error))
        log('The refresh was rejected with invalid_grant: this session has ended. Sign in again.', 'bad')
      else log(error instanceof TypeError ? 'The server did not respond.' : error.message, 'bad')
    } finally {
      button.removeAttribute('aria-busy')
      render()
      if (button.disabled && !$('sign-in').hidden) $('sign-in').querySelector('button').focus({ preventScroll: true })
    }
  })
}

/** Logs a call: 200, or 401, a refresh, and the same call again. */
function createCallReporter(log) {
  return async (what, response) => {
    if (what === 'refreshed') log('The app refreshed and repeats the call.')
    else if (response.status === 200) log(`200: hello, ${response.body.sub}.`, 'good')
    else log(`${response.status} ${/error="([a-z_]+)"/.exec(response.challenge)?.[1] ?? ''}`, 'warn')
  }
}

function findNode(familyId, print) {
  const nodes = history.families.get(familyId)?.nodes.values() ?? []
  return [...nodes].find((node) => node.fingerprint === print)
}

/** Waits for the observation of a token. Observations use a separate channel and may arrive later than the response. */
async function waitForNode(familyId, print) {
  for (let waited = 0; waited < 1500 && !findNode(familyId, print); waited += 20) await pause(20)
  return findNode(familyId, print) ?? { generation: '?', lost: 0 }
}

// ---- Rendering ----

function render() {
  const { laptop, phone, attacker } = sessions.read()
  const laptopSignedIn = Boolean(laptop?.refreshToken)
  const phoneSignedIn = Boolean(phone?.refreshToken)
  const ended = laptop?.familyId && !laptopSignedIn ? history.families.get(laptop.familyId)?.end : null
  const enabled = {
    call: laptopSignedIn,
    expire: laptopSignedIn,
    lose: laptopSignedIn,
    race: laptopSignedIn,
    steal: laptopSignedIn,
    'carry-on': laptopSignedIn,
    replay: Boolean(attacker?.refreshToken),
    phone: phoneSignedIn,
    'sign-out': laptopSignedIn,
    everywhere: laptopSignedIn || phoneSignedIn,
  }
  for (const [id, can] of Object.entries(enabled)) $(id).disabled = !can && !$(id).hasAttribute('aria-busy')
  $('sign-in').hidden = laptopSignedIn
  $('signed-in').hidden = !laptopSignedIn
  if (laptopSignedIn) $('who').textContent = laptop.username
  if (ended)
    setMessage(
      'why',
      ended.reason === 'reuse' ? 'The laptop was signed out: an old token was reused.' : 'The laptop is signed out.',
    )
  renderPicture({ laptop, phone, attacker })
  renderLog({ laptop, phone })
  renderClocks()
}

function renderPicture({ laptop, phone, attacker }) {
  const lanes = [
    { key: 'laptop', title: 'Laptop', familyId: laptop?.familyId },
    { key: 'phone', title: 'Phone', familyId: phone?.familyId },
  ].flatMap(({ familyId, ...lane }) => {
    const family = history.families.get(familyId)
    if (!family || family.nodes.size === 0) return []
    return [
      {
        ...lane,
        family,
        copied: attacker?.refreshToken && attacker.familyId === familyId ? attacker.generation : null,
      },
    ]
  })
  $('figure').hidden = lanes.length === 0
  $('words').hidden = lanes.length === 0
  $('empty-picture').hidden = lanes.length > 0
  if (lanes.length === 0) return
  draw($('drawing'), lanes, Math.max(280, Math.floor($('figure').clientWidth)))
  $('words').lastElementChild.replaceChildren(
    ...lanes.flatMap(({ title, family }) => [createElement('h3', title), list(describeFamily(family))]),
  )
}

function renderLog({ laptop, phone }) {
  const names = new Map([
    [phone?.familyId, 'phone'],
    [laptop?.familyId, 'laptop'],
  ])
  const items = history.lines.slice(-60).map(({ at, familyId, actor, tone, text }) => {
    const item = document.createElement('li')
    item.className = tone
    const time = createElement('time', new Date(at).toLocaleTimeString('en-GB'))
    time.dateTime = new Date(at).toISOString()
    item.append(time, createElement('b', actor ?? names.get(familyId) ?? 'earlier login'), createElement('span', text))
    return item
  })
  $('log').replaceChildren(...items.reverse())
  $('empty-log').hidden = items.length > 0
}

function renderClocks() {
  const { laptop } = sessions.read()
  if (!laptop?.refreshToken) return
  const family = history.families.get(laptop.familyId)
  setClock('access-clock', laptop.accessUntil - Date.now(), laptop.accessSeconds, `lives ${laptop.accessSeconds} s`)
  if (!family?.usedAt) return
  const until = Math.min(family.usedAt + facts.idleSeconds * 1000, family.issuedAt + facts.absoluteSeconds * 1000)
  const generation = findNode(laptop.familyId, prints[laptop.refreshToken])?.generation ?? getCurrentGeneration(family)
  const print = prints[laptop.refreshToken] ?? '…'
  setClock('refresh-clock', until - Date.now(), facts.idleSeconds, `${print}\ngeneration ${generation}`)
  if (!(laptop.refreshToken in prints)) void cacheFingerprint(laptop.refreshToken)
}

async function cacheFingerprint(token) {
  prints = { [token]: await fingerprint(token) }
}

function setClock(id, leftMs, ofSeconds, detail) {
  const clock = $(id)
  const seconds = Math.max(0, Math.ceil(leftMs / 1000))
  const share = Math.min(100, Math.max(0, leftMs / ofSeconds / 10))
  clock.classList.toggle('over', leftMs <= 0)
  clock.querySelector('.left').setAttribute('stroke-dasharray', `${share} 100`)
  setText(
    clock.querySelector('.time'),
    leftMs <= 0 ? 'over' : seconds < 100 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`,
  )
  setText(clock.querySelector('.detail'), leftMs <= 0 && id === 'access-clock' ? 'the next call gets 401' : detail)
}

/** Sets the text only if it changes, so that selections survive and screen readers do not repeat it. */
function setText(element, content) {
  if (element.textContent !== content) element.textContent = content
}

function setMessage(id, sentence) {
  setText($(id), sentence)
  $(id).hidden = sentence === ''
}

function createElement(name, content) {
  const element = document.createElement(name)
  element.textContent = content
  return element
}

function list(sentences) {
  const element = document.createElement('ul')
  element.append(...sentences.map((sentence) => createElement('li', sentence)))
  return element
}

new ResizeObserver(() => renderPicture(sessions.read())).observe($('figure'))
setInterval(renderClocks, 200)
render()
