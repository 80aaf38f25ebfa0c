import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { MarkdownRenderer } from 'vitepress'
import { sourceOf } from './repository.ts'

/** Inlines SVG pictures, so that they use the colours of the page. In the repository they are ordinary images. */
export function inlinePictures(md: MarkdownRenderer): void {
  const { image } = md.renderer.rules
  md.renderer.rules.image = (tokens, index, options, env, self) => {
    const token = tokens[index]
    const source = token?.attrGet('src') ?? ''
    if (!source.endsWith('.svg') || token === undefined) return image?.(tokens, index, options, env, self) ?? ''
    const drawing = readFileSync(join(dirname(sourceOf(env)), source), 'utf8')
    const label = md.utils.escapeHtml(self.renderInlineAsText(token.children ?? [], options, env))
    // On narrow screens the picture scrolls; it must be focusable for the keyboard.
    return `<span class="picture" tabindex="0" role="img" aria-label="${label}" v-html="${md.utils.escapeHtml(JSON.stringify(drawing))}"></span>`
  }
}
