/** Rules for imports, checked by `pnpm check`. Type-only imports count. */
export default {
  forbidden: [
    {
      name: 'no-cycle',
      comment: 'Move what both modules need into a third one.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'layers-of-the-client',
      comment: 'session/ imports from protocol/ and platform/, protocol/ from platform/ only.',
      severity: 'error',
      from: { path: '^packages/client/src/(protocol|platform)/' },
      to: { path: '^packages/client/src/([^/]+$|session/)' },
    },
    {
      name: 'platform-of-the-client',
      comment: 'platform/ imports from no other directory of the client.',
      severity: 'error',
      from: { path: '^packages/client/src/platform/' },
      to: { path: '^packages/client/src/(?!platform/)' },
    },
    {
      name: 'layers-of-core',
      comment: 'operations/ imports from store/, token/ and events/, these from model/, and model/ from decision/.',
      severity: 'error',
      from: { path: '^packages/core/src/(store|token|events|model|decision)/' },
      to: { path: '^packages/core/src/(operations/|refresh-tokens|index)' },
    },
    {
      name: 'model-of-core',
      comment: 'model/ and decision/ import from no layer above them; decision/ imports nothing.',
      severity: 'error',
      from: { path: '^packages/core/src/(model|decision)/' },
      to: { path: '^packages/core/src/(store|token|events)/' },
    },
    {
      name: 'no-internals-of-other-packages',
      comment: 'Import another package by its name or by a subpath of its "exports".',
      severity: 'error',
      from: { path: '^(packages|internal|examples)/([^/]+)/' },
      to: {
        path: '^(packages|internal)/([^/]+)/(?!src/[^/]+\\.ts$)',
        pathNot: '^(packages|internal)/$2/|node_modules',
      },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|node_modules|\\.next)/' },
  },
}
