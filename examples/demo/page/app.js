import { createHistory, currentOf, wordsOf } from './history.js'
import { draw } from './picture.js'
import { createSessions, fingerprint, isSignedOut, pause, sendRefresh, signedOut } from './session.js'
import { createTabs } from './tabs.js'

/** In the output of one part of the story. */
const MOST_LINES = 8

const $ = (id) => document.getElementById(id)
const facts = await (await fetch('/demo/facts')).json()
const sessions = createSessions({ run: facts.run, onChange: render })
let history = createHistory()
let prints = {}

// ---- What the observer tells ----

const source = new EventSource('/demo/observations')
source.onopen = () => {
  // Every connection begins with everything that is remembered.
  history = createHistory()
  $('trouble').hidden = true
  render()
}
source.onmessage = ({ data }) => {
  history.add(JSON.parse(data))
  render()
}
source.onerror = () => {
  $('trouble').textContent = 'The demo is not answering. Is it still running in your terminal?'
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
  arm() {
    const refresh = sessions.armUnlocked('laptop')
    return async () => {
      try {
        const tokens = await refresh()
        return fingerprint(tokens.refreshToken)
      } catch {
        return 'refused'
      }
    }
  },
  onCount(count) {
    $('race').textContent =
      ['Refresh twice at once', 'Refresh in both tabs at once'][count - 1] ?? `Refresh in all ${count} tabs at once`
  },
})

// ---- The story ----

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
    sessions.write({ thief: null })
    for (const output of document.querySelectorAll('output')) output.replaceChildren()
  }
  say('why', fine ? '' : 'That is not the password. Try alice with wonderland, or bob with builder.')
  button.disabled = false
  if (fine) $('call').focus()
})

step('call', 'call-said', async (tell) => {
  await sessions.call('laptop', trail(tell))
})

step('expire', 'expire-said', async (tell) => {
  const { accessUntil, accessToken } = sessions.read().laptop
  const left = Math.ceil((accessUntil - Date.now()) / 1000)
  if (left > 0) tell(`Waiting ${left} s for the access token to run out …`)
  // It was counted from before the request, and the server began to count when it had that.
  await pause(Math.max(0, accessUntil - Date.now()) + 1500)
  // Another tab may have refreshed meanwhile; then there is nothing left to run out.
  if (sessions.read().laptop?.accessToken !== accessToken) tell('A refresh came in between, so this token is new.')
  await sessions.call('laptop', trail(tell))
})

step('lose', 'lose-said', async (tell) => {
  const before = await fingerprint(sessions.read().laptop.refreshToken)
  tell(`Sent token ${before}.`)
  const tokens = await sessions.refresh('laptop', {
    lose: true,
    onLost: () => tell('The connection broke: the server has a new token, and nobody received it. Asking again …'),
  })
  const received = await fingerprint(tokens.refreshToken)
  const { lost, generation } = await seen(tokens.familyId, received)
  tell(
    lost > 0
      ? `Received ${received}: the very token that was lost on the way, generation ${generation}.`
      : `Received ${received}, which is not what was lost.`,
    lost > 0 ? 'good' : 'bad',
  )
})

step('race', 'race-said', async (tell) => {
  const { alone, results } = await tabs.atOnce()
  const different = new Set(results)
  const who = alone ? 'This tab is the only one, so it sent two requests.' : `${results.length} tabs, one request each.`
  tell(who)
  if (different.has('refused')) throw signedOut('refused')
  tell(
    different.size === 1
      ? `Every answer had the same token, ${results[0]}.`
      : `The answers had different tokens: ${[...different].join(', ')}.`,
    different.size === 1 ? 'good' : 'bad',
  )
})

step('steal', 'steal-said', async (tell) => {
  const { refreshToken, familyId } = sessions.read().laptop
  const print = await fingerprint(refreshToken)
  const { generation } = await seen(familyId, print)
  sessions.write({ thief: { refreshToken, familyId, generation } })
  tell(`The thief has a copy of token ${print}, generation ${generation}. Nobody can know yet.`)
})

step('carry-on', 'steal-said', async (tell) => {
  for (let times = 0; times < 2; times += 1) {
    const tokens = await sessions.refresh('laptop')
    const print = await fingerprint(tokens.refreshToken)
    const { generation } = await seen(tokens.familyId, print)
    tell(`The laptop refreshed and holds ${print}, generation ${generation}.`)
  }
})

step('replay', 'steal-said', async (tell) => {
  const { thief } = sessions.read()
  const { status, body } = await sendRefresh('thief', thief.refreshToken)
  if (status === 200) {
    const print = await fingerprint(body.refresh_token)
    const generation = thief.generation + 1
    sessions.write({ thief: { ...thief, refreshToken: body.refresh_token, generation } })
    tell(
      `The thief was quick: ${status}, token ${print}, generation ${generation}. Nothing is detected until one of the two presents an old token after the grace window. Let the laptop refresh, wait a few seconds, and try again.`,
      'bad',
    )
    return
  }
  sessions.write({ thief: { ...thief, refreshToken: null } })
  tell(`The thief got ${status} ${body.error}.`, 'good')
  const { laptop } = sessions.read()
  if (laptop?.familyId !== thief.familyId || !laptop.refreshToken) return
  // An app learns it at its next refresh; no need to wait for that here.
  const refused = await sessions.refresh('laptop').then(
    () => false,
    (error) => isSignedOut(error),
  )
  tell(
    refused
      ? 'The laptop’s next refresh was refused too: two had the same token, and nobody can tell which of them is Alice. She signs in again; the thief cannot.'
      : 'The laptop goes on.',
    refused ? 'bad' : '',
  )
})

step('phone', 'phone-said', async (tell) => {
  const tokens = await sessions.refresh('phone')
  const print = await fingerprint(tokens.refreshToken)
  const { generation } = await seen(tokens.familyId, print)
  tell(`The phone refreshed and holds ${print}, generation ${generation}.`)
  await sessions.call('phone', trail(tell))
})

step('sign-out', 'out-said', async (tell) => {
  await sessions.signOut('laptop')
  tell('The laptop’s family has ended. The phone’s has not.', 'good')
})

step('everywhere', 'out-said', async (tell) => {
  const by = sessions.read().laptop?.refreshToken ? 'laptop' : 'phone'
  await sessions.signOutEverywhere(by)
  sessions.forget('laptop')
  sessions.forget('phone')
  tell('Every family of this person has ended, on all devices.', 'good')
})

/** Binds a button to a part of the story. `tell` adds a sentence to its output, which the first button of a part clears. */
function step(buttonId, outputId, run) {
  const button = $(buttonId)
  const output = $(outputId)
  const begins = output.htmlFor[0] === buttonId || output.htmlFor.length === 2
  const tell = (sentence, tone = '') => {
    const line = document.createElement('span')
    line.className = tone
    line.textContent = sentence
    output.append(line)
    if (output.children.length > MOST_LINES) output.firstChild.remove()
  }
  button.addEventListener('click', async () => {
    // Not disabled meanwhile: that would take the focus away from whoever uses the keyboard.
    if (button.hasAttribute('aria-busy')) return
    button.setAttribute('aria-busy', 'true')
    if (begins) output.replaceChildren()
    try {
      await run(tell)
    } catch (error) {
      if (isSignedOut(error))
        tell(
          'The refresh was refused with invalid_grant: this login has ended. The way back is to sign in again.',
          'bad',
        )
      else tell(error instanceof TypeError ? 'The server did not answer.' : error.message, 'bad')
    } finally {
      button.removeAttribute('aria-busy')
      render()
      if (button.disabled && !$('sign-in').hidden) $('sign-in').querySelector('button').focus({ preventScroll: true })
    }
  })
}

/** Tells a call as it goes: 200, or 401, refresh, and the call again. */
function trail(tell) {
  return async (what, seen) => {
    if (what === 'refreshed') tell('The app refreshed, and asks again.')
    else if (seen.status === 200) tell(`200: hello, ${seen.body.sub}.`, 'good')
    else tell(`${seen.status} ${/error="([a-z_]+)"/.exec(seen.challenge)?.[1] ?? ''}`, 'warn')
  }
}

function nodeOf(familyId, print) {
  const nodes = history.families.get(familyId)?.nodes.values() ?? []
  return [...nodes].find((node) => node.fingerprint === print)
}

/** What the observer saw of a token. Its account comes on a channel of its own and may be a moment later than the answer. */
async function seen(familyId, print) {
  for (let waited = 0; waited < 1500 && !nodeOf(familyId, print); waited += 20) await pause(20)
  return nodeOf(familyId, print) ?? { generation: '?', lost: 0 }
}

// ---- On the screen ----

function render() {
  const { laptop, phone, thief } = sessions.read()
  const here = Boolean(laptop?.refreshToken)
  const there = Boolean(phone?.refreshToken)
  const ended = laptop?.familyId && !here ? history.families.get(laptop.familyId)?.end : null
  const able = {
    call: here,
    expire: here,
    lose: here,
    race: here,
    steal: here,
    'carry-on': here,
    replay: Boolean(thief?.refreshToken),
    phone: there,
    'sign-out': here,
    everywhere: here || there,
  }
  for (const [id, can] of Object.entries(able)) $(id).disabled = !can && !$(id).hasAttribute('aria-busy')
  $('sign-in').hidden = here
  $('signed-in').hidden = !here
  if (here) $('who').textContent = laptop.username
  if (ended)
    say(
      'why',
      ended.reason === 'reuse'
        ? 'The laptop was signed out: somebody else held its token too.'
        : 'The laptop is signed out.',
    )
  renderPicture({ laptop, phone, thief })
  renderLog({ laptop, phone })
  renderClocks()
}

function renderPicture({ laptop, phone, thief }) {
  const lanes = [
    { key: 'laptop', title: 'Laptop', familyId: laptop?.familyId },
    { key: 'phone', title: 'Phone', familyId: phone?.familyId },
  ].flatMap(({ familyId, ...lane }) => {
    const family = history.families.get(familyId)
    if (!family || family.nodes.size === 0) return []
    return [{ ...lane, family, copied: thief?.refreshToken && thief.familyId === familyId ? thief.generation : null }]
  })
  $('figure').hidden = lanes.length === 0
  $('words').hidden = lanes.length === 0
  $('empty-picture').hidden = lanes.length > 0
  if (lanes.length === 0) return
  draw($('drawing'), lanes, Math.max(280, Math.floor($('figure').clientWidth)))
  $('words').lastElementChild.replaceChildren(
    ...lanes.flatMap(({ title, family }) => [make('h3', title), list(wordsOf(family))]),
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
    const time = make('time', new Date(at).toLocaleTimeString('en-GB'))
    time.dateTime = new Date(at).toISOString()
    item.append(time, make('b', actor ?? names.get(familyId) ?? 'earlier login'), make('span', text))
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
  const generation = nodeOf(laptop.familyId, prints[laptop.refreshToken])?.generation ?? currentOf(family)
  const print = prints[laptop.refreshToken] ?? '…'
  setClock('refresh-clock', until - Date.now(), facts.idleSeconds, `${print}\ngeneration ${generation}`)
  if (!(laptop.refreshToken in prints)) void remember(laptop.refreshToken)
}

async function remember(token) {
  prints = { [token]: await fingerprint(token) }
}

function setClock(id, leftMs, ofSeconds, detail) {
  const clock = $(id)
  const seconds = Math.max(0, Math.ceil(leftMs / 1000))
  const share = Math.min(100, Math.max(0, leftMs / ofSeconds / 10))
  clock.classList.toggle('over', leftMs <= 0)
  clock.querySelector('.left').setAttribute('stroke-dasharray', `${share} 100`)
  put(
    clock.querySelector('.time'),
    leftMs <= 0 ? 'over' : seconds < 100 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`,
  )
  put(clock.querySelector('.detail'), leftMs <= 0 && id === 'access-clock' ? 'the next call gets 401' : detail)
}

/** Leaves alone what is right already, so that nothing is selected away or read out twice. */
function put(element, content) {
  if (element.textContent !== content) element.textContent = content
}

function say(id, sentence) {
  put($(id), sentence)
  $(id).hidden = sentence === ''
}

function make(name, content) {
  const element = document.createElement(name)
  element.textContent = content
  return element
}

function list(sentences) {
  const element = document.createElement('ul')
  element.append(...sentences.map((sentence) => make('li', sentence)))
  return element
}

new ResizeObserver(() => renderPicture(sessions.read())).observe($('figure'))
setInterval(renderClocks, 200)
render()
