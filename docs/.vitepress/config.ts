import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitepress'
import { navigation, sidebar } from './contents.ts'
import { inlinePictures } from './pictures.ts'
import { ADDRESS, linkRepository, NO_PAGES, PAGES } from './repository.ts'

/** The pages are the Markdown files of this repository. */
export default defineConfig({
  title: 'Baton',
  description: 'Refresh tokens for TypeScript: rotation, reuse detection, OAuth 2.0 endpoints and a client',
  srcDir: '..',
  outDir: 'dist',
  cacheDir: 'node_modules/.vitepress',
  srcExclude: NO_PAGES,
  rewrites: PAGES,
  cleanUrls: true,
  lang: 'en',
  vite: {
    // The pages are outside of this package, but only this package has Vue.
    resolve: { alias: { vue: fileURLToPath(new URL('../node_modules/vue', import.meta.url)) } },
  },
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  markdown: {
    config(md) {
      inlinePictures(md)
      linkRepository(md)
    },
  },
  themeConfig: {
    nav: navigation,
    sidebar,
    outline: [2, 3],
    search: { provider: 'local' },
    socialLinks: [{ icon: 'github', link: ADDRESS }],
  },
})
