import { generateSecret } from '../commands/secret.js'
import { VERSION } from '../version.js'
import { FRAMEWORKS, type Framework } from './frameworks.js'
import { STORES, type Store } from './stores.js'

export interface Choice {
  readonly name: string
  readonly framework: Framework
  readonly store: Store
}

/** Creates the files of a new project: contents by path. */
export function createFiles({ name, framework, store }: Choice): Readonly<Record<string, string>> {
  const { server, dependencies, types } = FRAMEWORKS[framework]
  const storePart = STORES[store]
  const packages = ['core', 'http', framework, `store-${store}`]
  const packageJson = {
    name,
    version: '0.0.0',
    private: true,
    type: 'module',
    scripts: {
      build: 'tsc',
      start: 'node --env-file=.env dist/server.js',
    },
    engines: { node: '>=20.19' },
    dependencies: sorted({
      ...Object.fromEntries(packages.map((each) => [`@baton/${each}`, `^${VERSION}`])),
      ...dependencies,
      ...storePart.dependencies,
    }),
    devDependencies: sorted({ '@types/node': '^20.19.0', typescript: '~6.0.3', ...types, ...storePart.types }),
  }
  return {
    'package.json': `${JSON.stringify(packageJson, null, 2)}\n`,
    'tsconfig.json': TSCONFIG,
    '.env': `BATON_SECRET=${generateSecret()}\nSIGNING_SECRET=${generateSecret()}\n${storePart.env}`,
    '.gitignore': 'node_modules\ndist\n.env\n*.db\n*.db-*\n',
    'src/store.ts': storePart.source,
    'src/authenticate.ts': AUTHENTICATE,
    'src/tokens.ts': TOKENS,
    'src/server.ts': server,
    'README.md': createReadme({ name, framework, store }),
  }
}

function sorted(versions: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(versions).sort(([one], [other]) => (one < other ? -1 : 1)))
}

const TSCONFIG = `{
  "compilerOptions": {
    "target": "ES2022",
    "module": "NodeNext",
    "moduleResolution": "NodeNext",
    "types": ["node"],
    "strict": true,
    "skipLibCheck": true,
    "rootDir": "src",
    "outDir": "dist"
  },
  "include": ["src"]
}
`

const AUTHENTICATE = `/** Failed sign-ins are limited per account and address. */
export const accountName = ({ username }: Record<string, unknown>) => username

/** Replace this with your own check of name and password; null rejects them. */
export async function authenticate({ username, password }: Record<string, unknown>) {
  return username === 'alice' && password === 'wonderland' ? { subject: 'user-1' } : null
}
`

const TOKENS = `import { createRefreshTokens } from '@baton/core'
import { deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { store } from './store.js'

export const port = Number(process.env.PORT ?? 3000)
const origin = process.env.ORIGIN ?? \`http://127.0.0.1:\${port}\`

/** Comma-separated, the current secret first. SIGNING_SECRET is separate because it is enough to forge access tokens. */
const readSecrets = (name: 'BATON_SECRET' | 'SIGNING_SECRET') => (process.env[name] ?? '').split(',')

export const tokens = createRefreshTokens({
  store,
  secrets: readSecrets('BATON_SECRET'),
  onEvent(event) {
    if (event.type === 'reuse') console.warn('refresh token reused:', event.familyId, event.subject)
  },
})

export const accessTokens = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: readSecrets('SIGNING_SECRET').map((secret) => deriveSigningKey(secret)),
})

// Deletes ended sessions every hour.
setInterval(() => void tokens.purge().catch(console.error), 3_600_000).unref()
`

function createReadme({ name, framework, store }: Choice): string {
  return `# ${name}

Sign-in and sessions with Baton, ${FRAMEWORKS[framework].title} and ${STORES[store].title}.

\`\`\`sh
npm install
npm run build
npm start
\`\`\`
${STORES[store].needs}
\`\`\`sh
curl -c jar -H 'content-type: application/json' -d '{"username":"alice","password":"wonderland"}' http://127.0.0.1:3000/login
curl -b jar -c jar -X POST -H 'X-Baton: 1' -H 'Origin: http://127.0.0.1:3000' http://127.0.0.1:3000/auth/refresh
\`\`\`

- \`src/authenticate.ts\` checks the password: replace it with your own check.
- \`.env\` contains the secrets: \`BATON_SECRET\` for refresh tokens, \`SIGNING_SECRET\` for access tokens. It is not in git, and must be the same on every
  instance. For authorization codes, add a \`CODE_SECRET\` (\`npx @baton/cli secret --env CODE_SECRET\`).
- \`npx @baton/cli doctor\` checks the configuration, \`npx @baton/cli sessions user-1\` lists sessions.
`
}
