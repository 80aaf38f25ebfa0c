import { describeParity } from '@baton/http-parity'
import { sample } from './parity-variants.js'

for (const variant of sample) describeParity(...variant)
