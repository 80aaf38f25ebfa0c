import { requireAccessToken } from '@baton/express'
import { remoteAccessTokens } from '@baton/http'
import { serve } from '@baton-examples/shared'
import express from 'express'
import { readSettings } from './settings.js'

const env = readSettings()
const { issuer, audience } = env

const accessTokens = remoteAccessTokens({ issuer, audience })
// The message of an error names the fault of the issuer, for example that it cannot be reached.
const onError = (error: unknown) => console.warn(error instanceof Error ? error.message : error)

const app = express()
const guard = requireAccessToken({ accessTokens, onError })
app.get(
  '/api/me',
  guard.handler((req, res) => res.json({ sub: req.auth.sub })),
)

serve(app, { env })
