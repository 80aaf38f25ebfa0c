import type { NextConfig } from 'next'

export default {
  // Where all builds of this repository are.
  distDir: 'dist',
  // Drivers with native code stay outside of bundles.
  serverExternalPackages: ['better-sqlite3'],
  typescript: { tsconfigPath: 'tsconfig.next.json', ignoreBuildErrors: true },
} satisfies NextConfig
