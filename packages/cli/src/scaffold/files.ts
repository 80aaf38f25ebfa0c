import { newSecret } from '../commands/secret.js'
import { VERSION } from '../version.js'
import { FRAMEWORKS, type Framework } from './frameworks.js'
import { STORES, type Store } from './stores.js'

export interface Choice {
  readonly name: string
  readonly framework: Framework
  readonly store: Store
}

/** The files of a new project, by their paths. */
export function filesOf({ name, framework, store }: Choice): Readonly<Record<string, string>> {
  const { server, dependencies, types } = FRAMEWORKS[framework]
  const kept = STORES[store]
  const ours = ['core', 'http', framework, `store-${store}`]
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
      ...Object.fromEntries(ours.map((each) => [`@baton/${each}`, `^${VERSION}`])),
      ...dependencies,
      ...kept.dependencies,
    }),
    devDependencies: sorted({ '@types/node': '^20.19.0', typescript: '~6.0.3', ...types, ...kept.types }),
  }
  return {
    'package.json': `${JSON.stringify(packageJson, null, 2)}\n`,
    'tsconfig.json': TSCONFIG,
    '.env': `BATON_SECRET=${newSecret()}\nSIGNING_SECRET=${newSecret()}\n${kept.env}`,
    '.gitignore': 'node_modules\ndist\n.env\n*.db\n*.db-*\n',
    'src/store.ts': kept.source,
    'src/authenticate.ts': AUTHENTICATE,
    'src/tokens.ts': TOKENS,
    'src/server.ts': server,
    'README.md': readmeOf({ name, framework, store }),
  }
}

function sorted(packages: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(packages).sort(([one], [other]) => (one < other ? -1 : 1)))
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

/** Put your own check of name and password here; null is a wrong one. */
export async function authenticate({ username, password }: Record<string, unknown>) {
  return username === 'alice' && password === 'wonderland' ? { subject: 'user-1' } : null
}
`

const TOKENS = `import { createRefreshTokens } from '@baton/core'
import { deriveSigningKey, jwtAccessTokens } from '@baton/http'
import { store } from './store.js'

export const port = Number(process.env.PORT ?? 3000)
const origin = process.env.ORIGIN ?? \`http://127.0.0.1:\${port}\`

/** Each setting is a list, \`current,older\`. The two have separate secrets: whoever reads SIGNING_SECRET can forge access tokens. */
const secretsOf = (name: 'BATON_SECRET' | 'SIGNING_SECRET') => (process.env[name] ?? '').split(',')

export const tokens = createRefreshTokens({
  store,
  secrets: secretsOf('BATON_SECRET'),
  onEvent(event) {
    if (event.type === 'reuse') console.warn('stolen or copied:', event.familyId, event.subject)
  },
})

export const accessTokens = jwtAccessTokens({
  issuer: origin,
  audience: origin,
  keys: secretsOf('SIGNING_SECRET').map((secret) => deriveSigningKey(secret)),
})

// Forgets sessions that are over.
setInterval(() => void tokens.purge().catch(console.error), 3_600_000).unref()
`

function readmeOf({ name, framework, store }: Choice): string {
  return `# ${name}

Sessions by Baton behind ${FRAMEWORKS[framework].title}, kept in ${STORES[store].title}.

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

- \`src/authenticate.ts\` is where your own check of passwords goes.
- \`.env\` holds the secrets: \`BATON_SECRET\` for refresh tokens, \`SIGNING_SECRET\` for access tokens. It is not in git; every instance
  needs the same. For authorization codes, add a \`CODE_SECRET\` (\`npx baton secret --env CODE_SECRET\`).
- \`npx baton doctor\` looks whether all is well, \`npx baton sessions user-1\` lists sessions.
`
}
