import type { Budget, Setup } from './world.js'

const SECRET = 'the secret of the model, which is 48 bytes long.'
const NEW_SECRET = 'the next secret of the model, also long enough.'

const NOTHING: Budget = {
  clock: 0,
  delays: 0,
  copies: 0,
  losses: 0,
  faults: 0,
  repeats: 0,
  rollbacks: 0,
  steals: 0,
  logouts: 0,
}

const HOUR = 3600
const GRACE = 30

const plain: Setup = {
  name: 'plain',
  core: {
    grace: 'any-attempt',
    graceSeconds: GRACE,
    idleSeconds: HOUR,
    absoluteSeconds: 3 * HOUR,
    rotation: 'always',
    processes: [[SECRET]],
    confirmation: null,
  },
  startsFrom: 'a token',
  holders: ['tab A', 'tab B'],
  idempotencyKeys: true,
  attackerCopiesKey: false,
  attackerImpersonates: false,
  confidential: false,
  hasHook: false,
  ticks: [29_000, 31_000],
  budget: NOTHING,
  maxInFlight: 2,
}

/** The worlds to search. Each leaves out features of others, because the number of orders grows with every feature. */
export const setups: readonly Setup[] = [
  {
    ...plain,
    name: 'two tabs on a bad network',
    budget: { ...NOTHING, clock: 2, losses: 2, delays: 1, copies: 1 },
  },
  {
    ...plain,
    name: 'the same without Idempotency-Key',
    idempotencyKeys: false,
    budget: { ...NOTHING, clock: 2, losses: 2, delays: 1, copies: 1 },
  },
  {
    ...plain,
    name: 'the same without grace',
    core: { ...plain.core, graceSeconds: 0 },
    budget: { ...NOTHING, clock: 1, losses: 2, delays: 1, copies: 1 },
  },
  {
    ...plain,
    name: 'two tabs on a bad network, and a grace window for the same attempt only',
    core: { ...plain.core, grace: 'same-attempt' },
    budget: { ...NOTHING, clock: 2, losses: 2, delays: 1, copies: 1 },
  },
  {
    ...plain,
    name: 'an attacker right behind the owner, and a grace window for the same attempt only',
    core: { ...plain.core, grace: 'same-attempt' },
    holders: ['tab A', 'tab C', 'attacker'],
    maxInFlight: 3,
    budget: { ...NOTHING, clock: 1, losses: 1, steals: 2 },
  },
  {
    ...plain,
    name: 'an attacker, no Idempotency-Key, and a grace window for the same attempt only',
    core: { ...plain.core, grace: 'same-attempt' },
    idempotencyKeys: false,
    holders: ['tab A', 'tab B', 'attacker'],
    budget: { ...NOTHING, clock: 2, losses: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'a tab with its own storage',
    holders: ['tab A', 'tab C'],
    budget: { ...NOTHING, clock: 2, losses: 2, copies: 1 },
  },
  {
    ...plain,
    name: 'an attacker',
    holders: ['tab A', 'tab B', 'attacker'],
    maxInFlight: 3,
    budget: { ...NOTHING, clock: 2, losses: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'an attacker, and neither grace nor Idempotency-Key',
    core: { ...plain.core, graceSeconds: 0 },
    holders: ['tab A', 'tab B', 'attacker'],
    idempotencyKeys: false,
    budget: { ...NOTHING, clock: 1, losses: 1, delays: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'an attacker with a copy of the Idempotency-Key',
    holders: ['tab A', 'attacker'],
    attackerCopiesKey: true,
    budget: { ...NOTHING, clock: 2, losses: 1, copies: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'an attacker as another client',
    holders: ['tab A', 'attacker'],
    attackerImpersonates: true,
    budget: { ...NOTHING, clock: 2, losses: 1, rollbacks: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'a key-bound family, and an attacker without its key',
    core: { ...plain.core, confirmation: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } },
    holders: ['tab A', 'attacker'],
    attackerImpersonates: true,
    budget: { ...NOTHING, clock: 2, losses: 1, rollbacks: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'a failing store and a driver that repeats commands',
    budget: { ...NOTHING, clock: 1, losses: 1, faults: 2, repeats: 2 },
  },
  {
    ...plain,
    name: 'the same with an attacker and a sign-out',
    holders: ['tab A', 'attacker'],
    maxInFlight: 3,
    budget: { ...NOTHING, clock: 1, faults: 1, repeats: 1, steals: 1, logouts: 1 },
  },
  {
    ...plain,
    name: 'a store that loses writes',
    budget: { ...NOTHING, clock: 1, losses: 1, copies: 1, repeats: 1, rollbacks: 2 },
  },
  {
    ...plain,
    name: 'a store that loses writes, and an attacker',
    holders: ['tab A', 'tab B', 'attacker'],
    budget: { ...NOTHING, clock: 1, losses: 1, rollbacks: 2, steals: 1 },
  },
  {
    ...plain,
    name: 'sign-out during refreshes',
    maxInFlight: 3,
    budget: { ...NOTHING, clock: 1, losses: 1, copies: 1, rollbacks: 1, logouts: 2 },
  },
  {
    ...plain,
    name: 'an app with a hook before every response',
    holders: ['tab A', 'tab B', 'attacker'],
    hasHook: true,
    budget: { ...NOTHING, clock: 2, losses: 1, faults: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'three requests in parallel, and an app with a hook',
    holders: ['tab A', 'tab B', 'tab C'],
    maxInFlight: 3,
    hasHook: true,
    budget: { ...NOTHING, clock: 1, repeats: 1, logouts: 1 },
  },
  {
    ...plain,
    name: 'a rotation of secrets',
    core: {
      ...plain.core,
      processes: [
        [SECRET, NEW_SECRET],
        [NEW_SECRET, SECRET],
      ],
    },
    budget: { ...NOTHING, clock: 1, losses: 1, copies: 1, rollbacks: 1 },
  },
  {
    ...plain,
    name: 'a family that expires',
    core: { ...plain.core, idleSeconds: 60, absoluteSeconds: 90 },
    holders: ['tab A', 'tab B', 'attacker'],
    budget: { ...NOTHING, clock: 4, losses: 1, rollbacks: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'rotation turned off',
    core: { ...plain.core, idleSeconds: 60, absoluteSeconds: 90, rotation: 'never' },
    confidential: true,
    budget: { ...NOTHING, clock: 4, losses: 1, faults: 1, repeats: 1, rollbacks: 1, logouts: 1 },
  },
  {
    ...plain,
    name: 'a code on a bad network',
    startsFrom: 'a code',
    budget: { ...NOTHING, clock: 2, losses: 2, delays: 1, copies: 1 },
  },
  {
    ...plain,
    name: 'a code without Idempotency-Key, and a failing store',
    startsFrom: 'a code',
    idempotencyKeys: false,
    budget: { ...NOTHING, clock: 1, losses: 1, copies: 1, faults: 1, repeats: 1 },
  },
  {
    ...plain,
    name: 'a code that an attacker has read',
    startsFrom: 'a code',
    holders: ['tab A', 'attacker'],
    attackerImpersonates: true,
    maxInFlight: 3,
    budget: { ...NOTHING, clock: 1, losses: 1, repeats: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'a key-bound code, and an app with a hook',
    startsFrom: 'a code',
    core: { ...plain.core, confirmation: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } },
    holders: ['tab A', 'attacker'],
    attackerImpersonates: true,
    hasHook: true,
    budget: { ...NOTHING, clock: 2, losses: 1, faults: 1, repeats: 1, steals: 1 },
  },
  {
    ...plain,
    name: 'a legacy token on a bad network',
    startsFrom: 'a legacy token',
    budget: { ...NOTHING, clock: 1, losses: 2, delays: 1, copies: 1, faults: 1 },
  },
  {
    ...plain,
    name: 'a legacy token that an attacker has copied',
    startsFrom: 'a legacy token',
    holders: ['tab A', 'tab C', 'attacker'],
    budget: { ...NOTHING, clock: 2, losses: 1, repeats: 1, steals: 1 },
  },
]
