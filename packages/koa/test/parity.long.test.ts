import { describeParity } from '@baton/http-parity'
import { rest } from './parity-variants.js'

for (const variant of rest) describeParity(...variant)
