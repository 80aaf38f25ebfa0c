import { ask } from './ask.mjs'
import { endedCard, livingCard } from './cards.mjs'
import { showCounts } from './counts.mjs'

const byId = (id) => document.getElementById(id)
const result = byId('result')
const title = byId('result-title')
const living = byId('living')
const ended = byId('ended')
const more = byId('more')

/** The subject whose sessions are on the page, and the cursor of the next page of sessions. */
let current = { subject: '', cursor: null }

byId('find').addEventListener('submit', (event) => {
  event.preventDefault()
  void attempt(async () => {
    await show(byId('subject').value.trim())
    title.focus()
  })
})

more.addEventListener('click', () =>
  attempt(async () => {
    const page = await ask({ action: 'find', subject: current.subject, cursor: current.cursor })
    const cards = page.living.map((family) => livingCard(family, endOne))
    living.append(...cards)
    showNewest()
    setCursor(page.cursor)
    say(`${cards.length} more`)
    cards[0]?.querySelector('button').focus()
  }),
)

byId('end-all').addEventListener('click', async () => {
  const { subject } = current
  if (
    !(await confirmed(`End all sessions of ${subject}?`, 'Every device has to sign in again, offline access included.'))
  )
    return
  await attempt(async () => {
    const { ended: count } = await ask({ action: 'revoke_all', subject })
    await show(subject)
    title.focus()
    say(count === 1 ? 'One session has been ended' : `${count} sessions have been ended`)
  })
})

async function endOne(familyId, name) {
  const { subject } = current
  if (!(await confirmed(`End ${name}?`, 'This device has to sign in again. Other devices stay signed in.'))) return
  await attempt(async () => {
    await ask({ action: 'revoke', subject, familyId })
    await show(subject)
    // The button that had the focus is gone.
    title.focus()
    say('The session has been ended')
  })
}

async function show(subject) {
  const page = await ask({ action: 'find', subject })
  title.textContent = `Sessions of ${subject}`
  living.replaceChildren(...page.living.map((family) => livingCard(family, endOne)))
  ended.replaceChildren(...page.ended.map((family) => endedCard(family)))
  byId('ended-title').hidden = page.ended.length === 0
  byId('end-all').disabled = page.living.length === 0
  result.hidden = false
  showNewest()
  current = { subject, cursor: null }
  setCursor(page.cursor)
  say(summary(page))
}

/** Scrolls pictures that are too wide to their newest generation. */
function showNewest() {
  for (const picture of result.querySelectorAll('.picture')) picture.scrollLeft = picture.scrollWidth
}

function setCursor(cursor) {
  current.cursor = cursor
  more.hidden = cursor === null
}

function summary(page) {
  if (page.living.length === 0 && page.ended.length === 0) return 'Nothing is known of this subject'
  const count = page.living.length === 1 ? 'One session is' : `${page.living.length} sessions are`
  return `${count} alive${page.cursor === null ? '' : ', and there are more'}`
}

async function attempt(work) {
  try {
    await work()
  } catch (error) {
    say(error.message, 'wrong')
  }
}

function say(text, tone = '') {
  byId('said').className = tone
  byId('said').textContent = text
}

/** Resolves the promise of the open question. */
let settle = () => undefined

const dialog = byId('confirm')
dialog.addEventListener('close', () => {
  // The event is emitted asynchronously: the next question may be open by then.
  if (!dialog.open) settle(dialog.returnValue === 'yes')
})

/** Resolves to true if the operator confirms. Escape and another question resolve to false. */
function confirmed(question, consequence) {
  settle(false)
  byId('confirm-title').textContent = question
  byId('confirm-text').textContent = consequence
  dialog.returnValue = 'no'
  dialog.showModal()
  return new Promise((resolve) => {
    settle = resolve
  })
}

showCounts(byId('counts'), byId('counts-note'))
