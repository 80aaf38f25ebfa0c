import type { Server } from 'node:http'
import { launchChromium } from '@baton/test-servers'
import axe from 'axe-core'
import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { listen, SERVERS } from './servers.js'
import { tellStory, world } from './world.js'

/** Where screenshots go, for people to look at; none are taken without it. */
const SHOTS = process.env['CONSOLE_SCREENSHOTS']

let browser: Browser
beforeAll(async () => {
  browser = await launchChromium()
})
afterAll(() => browser.close())

let server: Server
let address: string
let scene: ReturnType<typeof world>
let story: Awaited<ReturnType<typeof tellStory>>
beforeEach(async () => {
  scene = world()
  story = await tellStory(scene.tokens)
  server = await SERVERS['Express']!(scene.endpoint)
  address = await listen(server)
})
afterEach(() => {
  server.close()
  server.closeAllConnections()
})

/** What the page complained about, and whom it asked besides us. */
let noise: string[]

async function open(options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, ...options })
  const page = await context.newPage()
  noise = []
  page.on('console', (message) => noise.push(message.text()))
  page.on('pageerror', (error) => noise.push(String(error)))
  page.on('request', (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith('data:')) noise.push(request.url())
  })
  await page.goto(address)
  return page
}

async function find(page: Page, subject: string): Promise<void> {
  await page.getByLabel('Subject', { exact: true }).fill(subject)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: `Sessions of ${subject}` }).waitFor()
}

const said = (page: Page) => page.getByRole('status').textContent()
const focused = (page: Page) => page.evaluate<string>('document.activeElement?.id')
const hasFocus = async (button: Locator) => (await button.and(button.page().locator(':focus')).count()) === 1

async function shoot(page: Page, name: string): Promise<void> {
  if (SHOTS !== undefined) await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true })
}

async function flaws(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  return page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run()
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`))
  })
}

describe('an operator', () => {
  test('finds the sessions of a subject and sees the history of each', async () => {
    const page = await open()
    await find(page, 'alice')
    expect(await said(page)).toBe('2 sessions are alive')
    expect(await focused(page)).toBe('result-title')
    const picture = (id: string) => page.locator(`[data-family="${id}"]`).getByRole('img').getAttribute('aria-label')
    expect(await picture(story.laptop)).toBe('Generation 2, alive. Handed out again once.')
    expect(await picture(story.tablet)).toBe(
      'Generation 3, ended, because two parties held it. Theft: generation 0 came back after it had been rotated away.',
    )
    await shoot(page, 'console-light')
    expect(noise).toEqual([])
    await page.context().close()
  })

  test('reads what a session says of itself as text', async () => {
    const page = await open()
    await find(page, 'alice')
    expect(await page.getByRole('heading', { name: '<img src=x onerror=alert(1)>' }).count()).toBe(1)
    await find(page, '<img src=x onerror=alert(2)>')
    expect(await page.locator('img').count()).toBe(0)
    expect(noise).toEqual([])
    await page.context().close()
  })

  test('sees the current generation of a session without events, and ends it', async () => {
    scene = world({}, { maxFamilies: 1 })
    const { refreshToken, family } = await scene.tokens.issue({ subject: 'alice' })
    await scene.tokens.rotate({ refreshToken })
    await scene.tokens.issue({ subject: 'bob' })
    const mounted = await SERVERS['Express']!(scene.endpoint)
    address = await listen(mounted)
    const page = await open()
    await find(page, 'alice')
    const card = page.locator(`[data-family="${family.id}"]`)
    expect(await card.getByRole('img').getAttribute('aria-label')).toBe('Generation 1, alive.')
    await card.getByRole('button', { name: `End Session ${family.id}` }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'End', exact: true }).click()
    await page.getByText('The session has been ended').waitFor()
    expect(await scene.tokens.find(family.id)).toBeNull()
    expect(noise).toEqual([])
    await page.context().close()
    mounted.close()
    mounted.closeAllConnections()
  })

  test('ends one session by keyboard alone, and none with Escape', async () => {
    const page = await open()
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('subject')
    await page.keyboard.type('alice')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Sessions of alice' }).waitFor()
    const end = page.locator(`[data-family="${story.laptop}"]`).getByRole('button')
    while (!(await hasFocus(end))) await page.keyboard.press('Tab')

    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await shoot(page, 'console-confirm')
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    expect(await hasFocus(end)).toBe(true)
    expect(await scene.tokens.find(story.laptop)).not.toBeNull()

    await page.keyboard.press('Enter')
    await page.getByRole('dialog').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByText('The session has been ended').waitFor()
    expect(await scene.tokens.find(story.laptop)).toBeNull()
    expect(await scene.tokens.find(story.phone)).not.toBeNull()
    expect(await focused(page)).toBe('result-title')
    expect(noise).toEqual([])
    await page.context().close()
  })

  test('is asked again at once after a no, and the second answer counts', async () => {
    const page = await open()
    await find(page, 'alice')
    // Browsers tell late that a dialog was closed.
    await page.evaluate(`
      const end = document.querySelector('[data-family="${story.laptop}"] button')
      end.click()
      document.getElementById('confirm').close('no')
      end.click()
    `)
    await page.getByRole('dialog').getByRole('button', { name: 'End', exact: true }).click()
    await page.getByText('The session has been ended').waitFor()
    expect(await scene.tokens.find(story.laptop)).toBeNull()
    await page.context().close()
  })

  test('ends all sessions', async () => {
    const page = await open()
    await find(page, 'alice')
    await page.getByRole('button', { name: 'End all sessions' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'End', exact: true }).click()
    await page.getByText('2 sessions have been ended').waitFor()
    expect((await scene.tokens.list({ subject: 'alice' })).items).toEqual([])
    expect(await page.getByRole('button', { name: 'End all sessions' }).isDisabled()).toBe(true)
    await page.context().close()
  })

  test('sees the counters move', async () => {
    const page = await open()
    await page.locator('[data-count="issued"]', { hasText: '3' }).waitFor()
    expect(await page.locator('[data-count="reuse"]').textContent()).toBe('1+1')
    await scene.tokens.issue({ subject: 'bob' })
    await page.locator('[data-count="issued"]', { hasText: '4' }).waitFor()
    await page.context().close()
  })

  test('sees an error when the server fails, and can continue afterwards', async () => {
    const page = await open()
    await page.route(address, (route) => route.abort())
    await page.getByLabel('Subject', { exact: true }).fill('alice')
    await page.keyboard.press('Enter')
    await page.getByRole('status').getByText('The server cannot be reached.').waitFor()
    await page.unroute(address)
    await find(page, 'alice')
    await page.context().close()
  })
})

describe('accessibility', () => {
  test.each([
    ['light', 1100],
    ['dark', 1100],
    ['light', 360],
    ['dark', 360],
  ] as const)('axe finds nothing wrong in %s, %i pixels wide, and nothing sticks out', async (colorScheme, width) => {
    const page = await open({ colorScheme, viewport: { width, height: 800 } })
    await find(page, 'alice')
    await page.locator('details').first().locator('summary').click()
    expect(await flaws(page)).toEqual([])
    expect(await page.evaluate<boolean>('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
    // What a picture has no room for is its beginning.
    const isAtItsEnd = '({ scrollLeft, clientWidth, scrollWidth }) => scrollLeft + clientWidth >= scrollWidth - 1'
    expect(await page.evaluate<boolean>(`[...document.querySelectorAll('.picture')].every(${isAtItsEnd})`)).toBe(true)
    await shoot(page, `console-${colorScheme}-${String(width)}`)
    await page.getByRole('button', { name: 'End all sessions' }).click()
    expect(await flaws(page)).toEqual([])
    await page.context().close()
  })
})

test.each([
  ['color-contrast', "document.getElementById('counts-note').style.color = '#bbb'"],
  ['label', "document.querySelector('label').remove()"],
  ['button-name', "document.getElementById('end-all').textContent = ''"],
])('axe would find %s', async (flaw, spoil) => {
  const page = await open()
  await find(page, 'alice')
  await page.evaluate(spoil)
  expect(await flaws(page)).toEqual([expect.stringContaining(`${flaw}: `)])
  await page.context().close()
})

describe('behind every framework', () => {
  test.each(Object.keys(SERVERS))('%s serves the page and its questions', async (name) => {
    const mounted = await SERVERS[name]!(scene.endpoint)
    const at = await listen(mounted)
    const page = await browser.newPage()
    await page.goto(at)
    await find(page, 'alice')
    expect(await said(page)).toBe('2 sessions are alive')
    await page.close()
    mounted.close()
    mounted.closeAllConnections()
  })
})
