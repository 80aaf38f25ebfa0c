import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { git } from './git.mjs'
import { OLD_NAMES } from './old-names.mjs'
import { ALLOWED, WORDS } from './words.mjs'

/*
 * Finds words that the style of this repository excludes, in Markdown, comments, messages, test names and identifiers.
 */
const EXCLUDED =
  /^(scripts\/(words|old-names|check-words)\.mjs|CODE_OF_CONDUCT\.md|docs\/conformance\.md|.*\/CHANGELOG\.md)$/

const findings = listFiles().flatMap(checkFile)
for (const finding of findings) print(finding)
console.log(`${findings.length} findings`)
process.exitCode = findings.length === 0 ? 0 : 1

function listFiles() {
  const files = git('ls-files', '--cached', '--others', '--exclude-standard').split('\n')
  return files.filter((file) => /\.(md|[cm]?[jt]sx?)$/.test(file) && !EXCLUDED.test(file))
}

function checkFile(file) {
  const text = readText(file)
  const pieces = file.endsWith('.md') ? readMarkdown(text) : readSource(file, text)
  return pieces.flatMap((piece) => checkPiece(file, text, piece))
}

function checkPiece(file, text, { start, content, isName = false }) {
  if (isName)
    return OLD_NAMES.test(content) ? [{ file, line: lineAt(text, start), word: content, use: 'the standard name' }] : []
  return WORDS.flatMap(({ pattern, use }) =>
    [...content.matchAll(pattern)]
      .filter((match) => !isAllowed(file, content, match))
      .map((match) => ({ file, line: lineAt(text, start + match.index), word: match[0], use })),
  )
}

function isAllowed(file, content, { index, 0: word }) {
  const context = content.slice(Math.max(0, index - 60), index + word.length + 60)
  return ALLOWED.some((entry) => (entry.files?.test(file) ?? true) && (entry.text?.test(context) ?? true))
}

/** The text of a page without inline code. Of code blocks, only the comments. */
function readMarkdown(text) {
  const blank = (part) => part.replace(/[^\n]/g, ' ')
  const prose = text
    .replace(/^( *)```.*?^\1```$/gms, (block) => block.replace(/^(?:(?!(?:\s*|.*\s)(?:\/\/|#) ).)*$/gm, blank))
    .replace(/`[^`\n]*`/g, blank)
    .replace(/\]\([^)\n]*\)/g, blank)
  return [{ start: 0, content: prose }]
}

/** Comments, strings of several words, and identifiers. */
function readSource(file, text) {
  const kind = /x$/.test(file) ? ts.ScriptKind.TSX : /\.[cm]?js$/.test(file) ? ts.ScriptKind.JS : ts.ScriptKind.TS
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, false, kind)
  const pieces = []
  const seen = new Set()
  const addComments = (position) => {
    if (seen.has(position)) return
    seen.add(position)
    for (const { pos, end } of [
      ...(ts.getLeadingCommentRanges(text, position) ?? []),
      ...(ts.getTrailingCommentRanges(text, position) ?? []),
    ]) {
      if (!seen.has(-1 - pos))
        pieces.push({ start: pos, content: text.slice(pos, end).replace(/\n\s*(\*|\/\/)/g, blankPrefix) })
      seen.add(-1 - pos)
    }
  }
  const visit = (node) => {
    if (ts.isJsxText(node)) {
      pieces.push({ start: node.pos, content: node.text })
      return
    }
    addComments(node.pos)
    addComments(node.end)
    if (ts.isIdentifier(node)) pieces.push({ start: node.end - node.text.length, content: node.text, isName: true })
    else if (isText(node) && / /.test(node.text))
      pieces.push({ start: node.getStart(source), content: text.slice(node.getStart(source), node.end) })
    ts.forEachChild(node, visit)
  }
  visit(source)
  addComments(source.endOfFileToken.pos)
  return pieces
}

/** Keeps the length, so that positions stay the same. */
function blankPrefix(prefix) {
  return ' '.repeat(prefix.length)
}

function isText({ kind }) {
  return (
    kind === ts.SyntaxKind.StringLiteral ||
    (kind >= ts.SyntaxKind.FirstTemplateToken && kind <= ts.SyntaxKind.LastTemplateToken)
  )
}

function readText(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // Deleted and not committed yet.
    return ''
  }
}

function lineAt(text, position) {
  return text.slice(0, position).split('\n').length
}

function print({ file, line, word, use }) {
  console.error(`${file}:${line} "${word.replace(/\s+/g, ' ')}"; use ${use}`)
}
