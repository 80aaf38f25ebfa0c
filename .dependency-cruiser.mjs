/** Rules for imports, checked by `pnpm check`. Type-only imports count. */
export default {
  forbidden: [
    {
      name: 'no-cycle',
      comment: 'Move what both modules need into a third one.',
      severity: 'error',
      // These three packages still have cycles between types.
      from: { pathNot: '^packages/(client|core)/src/' },
      to: { circular: true },
    },
    {
      name: 'no-internals-of-other-packages',
      comment: 'Import another package by its name or by a subpath of its "exports".',
      severity: 'error',
      from: { path: '^(packages|examples)/([^/]+)/|^(simulation|benchmarks)/' },
      to: { path: '^packages/([^/]+)/(?!src/[^/]+\\.ts$)', pathNot: '^packages/$2/|node_modules' },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|node_modules|\\.next)/' },
  },
}
