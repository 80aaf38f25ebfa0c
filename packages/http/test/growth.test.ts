import { isSameResource, parseScope } from '@baton/core'
import { expect, test } from 'vitest'
import { accessTokenGuard, introspectionEndpoint, tokenEndpoint } from '../src/index.js'
import { urisIn } from '../src/proof-of-possession/mtls/certificate.js'
import { parseBasic } from '../src/clients/credentials.js'
import { normalizeTarget } from '../src/proof-of-possession/dpop/target.js'
import { parseForm } from '../src/messages/form.js'
import { createApp } from './app.js'
import { FORM_TYPE, fromPage, request, type RequestPatch, createSetup } from './setup.js'

/** An input of eight times the length may take eight times as long. A quadratic parser takes sixty-four times as long. */
const FACTOR = 8
const SMALL = 2000
const LIMIT = 3 * FACTOR

/** Text that parsers search for, repeated by an attacker, and endings that make a pattern fail. */
const UNITS = [
  ...[' ', '\t', 'a', '1', '=', ',', ';', ':', '.', '/', '+', '-', '"', '\\', '[', ']', '%', '%20', '&', '?', '@', '*'],
  ...[
    '; ',
    ', ',
    ': ',
    '="',
    '\\"',
    '",',
    ' a',
    'a=',
    'a=1;',
    'a=1&',
    ':1',
    '::',
    '..',
    '/a',
    '-----',
    ' \n',
    '[[',
    '{"a":',
  ],
]
const ENDS = ['', '!', '\u0001', '"', ' x']
type Run = (hostile: string) => unknown

const { token, refreshCookie, logout } = createSetup()
const app = createApp()
const guard = accessTokenGuard({ accessTokens: app.accessTokens, now: () => app.clock.now, trustProxy: 1 })
const certificates = { clientCertificates: { header: 'x-cert', verified: { header: 'x-verified', value: 'yes' } } }
const clients = [{ clientId: 'c', tlsClientAuthSubjectDn: 'CN=c' }, { clientId: 'pub' }]
const byCertificate = tokenEndpoint(app.tokens, {
  ...{ ...app.shared, ...certificates, clients, accessTokens: app.accessTokens, trustProxy: 1 },
})
const introspection = introspectionEndpoint(app.tokens, {
  ...{ ...app.shared, clients: [{ clientId: 'pub' }], trustProxy: 1 },
})
const form: RequestPatch = { headers: { 'content-type': FORM_TYPE } }
const withHeader = (name: string, value: string, patch: RequestPatch = form) =>
  request({ ...patch, headers: { ...patch.headers, [name]: value } })

const headerReader = (name: string, start = ''): [string, Run] => [
  `${name} ${start}`,
  async (hostile) => {
    await introspection(withHeader(name, start + hostile))
    await guard(withHeader(name, start + hostile))
  },
]
const certificateReader = (start: string): [string, Run] => [
  `a certificate ${start}`,
  (hostile) =>
    byCertificate(
      request({
        headers: { 'content-type': FORM_TYPE, 'x-cert': start + hostile, 'x-verified': 'yes' },
        body: 'client_id=c',
      }),
    ),
]

/** All functions that read text of a request. */
const readers: readonly (readonly [string, Run])[] = [
  ...['', 'Basic ', 'Bearer ', 'DPoP '].map((scheme) => headerReader('authorization', scheme)),
  ...['', `${FORM_TYPE};`].map((type) => headerReader('content-type', type)),
  ...['dpop', 'idempotency-key', 'host', 'origin', 'x-forwarded-for', 'x-forwarded-proto'].map((name) =>
    headerReader(name),
  ),
  ...['', ':', '-----BEGIN CERTIFICATE-----'].map(certificateReader),
  ['the names of a certificate', (hostile) => urisIn({ subjectAltName: hostile })],
  ['a quoted name of a certificate', (hostile) => urisIn({ subjectAltName: `URI:"${hostile}` })],
  [
    'a cookie',
    async (hostile) => {
      await refreshCookie(request(fromPage(null, { headers: { cookie: hostile } })))
      await logout(request(fromPage(null, { headers: { cookie: hostile } })))
    },
  ],
  ['a session cookie', (hostile) => refreshCookie(request(fromPage(hostile)))],
  ['a session', (hostile) => refreshCookie(request(fromPage('x', { headers: { 'x-baton-session': hostile } })))],
  ['a path', (hostile) => guard(request({ url: `/${hostile}` }))],
  ['a query', (hostile) => guard(request({ url: `/?${hostile}` }))],
  ['a form', (hostile) => parseForm(hostile)],
  ['a body', (hostile) => token(request({ ...form, body: hostile }))],
  ['basic credentials', (hostile) => parseBasic(`Basic ${Buffer.from(hostile).toString('base64')}`)],
  ['the target of a proof', (hostile) => normalizeTarget(`https://as.example/${hostile}`)],
  ['a scope', (hostile) => parseScope(hostile)],
  ['a resource', (hostile) => isSameResource(`https://${hostile}`, `https://api.example/${hostile}`)],
]

/** The minimum of several runs, which is the least affected by other processes. */
async function timeOf(run: Run, hostile: string, runs: number): Promise<number> {
  let least = Infinity
  for (let index = 0; index < runs; index++) {
    const start = performance.now()
    await run(hostile)
    least = Math.min(least, performance.now() - start)
  }
  return least
}

/** The ratio of the times for an input that is `FACTOR` times as long. Suspicious results are measured again. */
async function growthOf(run: Run, hostile: (length: number) => string): Promise<number> {
  let growth = Infinity
  for (const runs of [1, 3, 10, 30]) {
    // Times below a fifth of a millisecond are rounded up, because timers and caches distort them.
    const small = Math.max(0.2, await timeOf(run, hostile(SMALL), runs))
    growth = Math.min(growth, (await timeOf(run, hostile(SMALL * FACTOR), runs)) / small)
    if (growth < LIMIT) return growth
  }
  return growth
}

test.each(readers)('%s reads any input in linear time', async (_, run) => {
  for (const unit of UNITS)
    for (const end of ENDS) {
      const growth = await growthOf(run, (length) => unit.repeat(Math.floor(length / unit.length)) + end)
      expect(growth, JSON.stringify([unit, end])).toBeLessThan(LIMIT)
    }
})
