const READY_MS = 600
const DONE_MS = 10_000

/**
 * Finds the other tabs and runs an action in all of them at the same moment. `prepare` returns the action.
 * @param {{ prepare: () => () => Promise<string>, onCount: (tabs: number) => void }} options
 */
export function createTabs({ prepare, onCount }) {
  const channel = new BroadcastChannel('baton-demo')
  const me = crypto.randomUUID()
  const others = new Set()
  const prepared = new Map()
  const listeners = new Set()
  const send = (message) => channel.postMessage({ from: me, ...message })

  function meet(tab, present) {
    if (present) others.add(tab)
    else others.delete(tab)
    onCount(others.size + 1)
  }

  channel.onmessage = async ({ data }) => {
    if (data.type === 'hello') send({ type: 'here' })
    if (data.type === 'hello' || data.type === 'here') meet(data.from, true)
    if (data.type === 'bye') meet(data.from, false)
    if (data.type === 'arm') {
      prepared.set(data.race, prepare())
      send({ type: 'ready', race: data.race })
    }
    if (data.type === 'go') {
      const run = prepared.get(data.race)
      prepared.delete(data.race)
      if (run) send({ type: 'done', race: data.race, result: await run() })
    }
    for (const listener of listeners) listener(data)
  }
  addEventListener('pagehide', () => send({ type: 'bye' }))
  addEventListener('pageshow', () => send({ type: 'hello' }))
  send({ type: 'hello' })
  onCount(1)

  /** Collects `expected` messages of one type, or those that arrive in time. */
  function collect(type, race, expected, ms) {
    const found = []
    if (expected === 0) return Promise.resolve(found)
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timeout)
        listeners.delete(listener)
        resolve(found)
      }
      const listener = (data) => {
        if (data.type === type && data.race === race) found.push(data)
        if (found.length === expected) finish()
      }
      const timeout = setTimeout(finish, ms)
      listeners.add(listener)
    })
  }

  return {
    /**
     * Runs the action in every open tab at once, or twice in this one if it is the only tab. Resolves to all results.
     */
    async atOnce() {
      const race = crypto.randomUUID()
      const alone = others.size === 0
      const mine = alone ? [prepare(), prepare()] : [prepare()]
      const ready = collect('ready', race, others.size, READY_MS)
      send({ type: 'arm', race })
      const answering = (await ready).length
      const done = collect('done', race, answering, DONE_MS)
      send({ type: 'go', race })
      const own = await Promise.all(mine.map((run) => run()))
      return { alone, results: [...own, ...(await done).map(({ result }) => result)] }
    },
  }
}
