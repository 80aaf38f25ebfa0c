/// <reference types="vitepress/client" />
import type { Theme } from 'vitepress'
import theme from 'vitepress/theme-without-fonts'
import { h } from 'vue'
import hero from '../../pictures/hero.svg?raw'
import './style.css'

const layout = () =>
  h(theme.Layout, null, {
    'home-hero-image': () => h('div', { class: 'image-src hero', innerHTML: hero, 'aria-hidden': 'true' }),
  })

export default { extends: theme, Layout: layout } satisfies Theme
