const READY_MS = 600
const DONE_MS = 10_000

/**
 * Knows the other tabs, and lets all of them do something at the same moment.
 * `arm` gets ready at once and returns what to do at the start signal.
 * @param {{ arm: () => () => Promise<string>, onCount: (tabs: number) => void }} options
 */
export function createTabs({ arm, onCount }) {
  const channel = new BroadcastChannel('baton-demo')
  const me = crypto.randomUUID()
  const others = new Set()
  const armed = new Map()
  const listeners = new Set()
  const tell = (message) => channel.postMessage({ from: me, ...message })

  function meet(tab, present) {
    if (present) others.add(tab)
    else others.delete(tab)
    onCount(others.size + 1)
  }

  channel.onmessage = async ({ data }) => {
    if (data.type === 'hello') tell({ type: 'here' })
    if (data.type === 'hello' || data.type === 'here') meet(data.from, true)
    if (data.type === 'bye') meet(data.from, false)
    if (data.type === 'arm') {
      armed.set(data.race, arm())
      tell({ type: 'ready', race: data.race })
    }
    if (data.type === 'go') {
      const run = armed.get(data.race)
      armed.delete(data.race)
      if (run) tell({ type: 'done', race: data.race, result: await run() })
    }
    for (const listener of listeners) listener(data)
  }
  addEventListener('pagehide', () => tell({ type: 'bye' }))
  addEventListener('pageshow', () => tell({ type: 'hello' }))
  tell({ type: 'hello' })
  onCount(1)

  /** Collects `expected` messages of one type, or what came before the time was up. */
  function collect(type, race, expected, ms) {
    const found = []
    if (expected === 0) return Promise.resolve(found)
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(late)
        listeners.delete(listener)
        resolve(found)
      }
      const listener = (data) => {
        if (data.type === type && data.race === race) found.push(data)
        if (found.length === expected) finish()
      }
      const late = setTimeout(finish, ms)
      listeners.add(listener)
    })
  }

  return {
    /** Runs in every open tab at once, twice in this one if it is alone; resolves to all results. */
    async atOnce() {
      const race = crypto.randomUUID()
      const alone = others.size === 0
      const mine = alone ? [arm(), arm()] : [arm()]
      const ready = collect('ready', race, others.size, READY_MS)
      tell({ type: 'arm', race })
      const answering = (await ready).length
      const done = collect('done', race, answering, DONE_MS)
      tell({ type: 'go', race })
      const own = await Promise.all(mine.map((run) => run()))
      return { alone, results: [...own, ...(await done).map(({ result }) => result)] }
    },
  }
}
