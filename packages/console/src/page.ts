import { createHash } from 'node:crypto'
import type { PlainResponse } from '@baton/http'
import script from '../page/main.mjs'
import { ALWAYS } from './respond.js'
import { STYLE } from './style.css.js'

const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sessions · Baton</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header><h1>Sessions</h1></header>
<main>
<section aria-labelledby="counts-title">
<h2 id="counts-title">What is happening</h2>
<dl id="counts"></dl>
<p id="counts-note" class="note"></p>
</section>
<section aria-labelledby="find-title">
<h2 id="find-title">Find a subject</h2>
<form id="find" autocomplete="off">
<label for="subject">Subject</label>
<input id="subject" name="subject" required maxlength="1024" spellcheck="false" autocapitalize="off">
<button>Show sessions</button>
</form>
</section>
<p id="said" role="status"></p>
<section id="result" aria-labelledby="result-title" hidden>
<div class="bar"><h2 id="result-title" tabindex="-1"></h2><button id="end-all" type="button" class="danger">End all sessions</button></div>
<ul id="living"></ul>
<button id="more" type="button" hidden>Show more</button>
<h3 id="ended-title">Have ended</h3>
<ul id="ended" aria-labelledby="ended-title"></ul>
</section>
<noscript>This page needs JavaScript.</noscript>
</main>
<dialog id="confirm" aria-labelledby="confirm-title" aria-describedby="confirm-text">
<h2 id="confirm-title"></h2>
<p id="confirm-text"></p>
<form method="dialog"><button value="no">Cancel</button><button value="yes" class="danger">End</button></form>
</dialog>
<script>${script}</script>
</body>
</html>
`

/** Allows only the script and style of this page, and requests to its own origin. */
const POLICY = [
  "default-src 'none'",
  `script-src '${hashOf(script)}'`,
  `style-src '${hashOf(STYLE)}'`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

/** Returns the page. It is the same for every operator. */
export function pageResponse(): PlainResponse {
  return {
    status: 200,
    headers: [
      ['content-type', 'text/html; charset=utf-8'],
      ['content-security-policy', POLICY],
      ['x-frame-options', 'DENY'],
      ['cross-origin-opener-policy', 'same-origin'],
      ...ALWAYS,
    ],
    body: HTML,
  }
}

/** Returns the hash source of an inline script or style (CSP 3, section 2.3.1). */
function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}
