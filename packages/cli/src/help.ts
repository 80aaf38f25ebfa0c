import type { Command, Option } from './command.js'

export function formatOverview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  return [
    'Usage: baton <command> [options]',
    '',
    ...commands.map(({ name, description }) => `  ${name.padEnd(width)}  ${description}`),
    '',
    'baton <command> --help shows all options. Exit codes: 0 success, 1 negative result, 2 invalid arguments, 3 failure.',
    '',
  ].join('\n')
}

export function formatHelp({ name, description, operands, options }: Command): string {
  const all: [string, Option][] = [
    ...Object.entries(options),
    ['json', { type: 'boolean', description: 'prints the result as JSON' }],
  ]
  const lines = all.map(
    ([option, { value, description: text }]) =>
      [`--${option}${value === undefined ? '' : ` <${value}>`}`, text] as const,
  )
  const width = Math.max(...lines.map(([option]) => option.length))
  return [
    `Usage: baton ${name} ${operands}`.trimEnd(),
    '',
    `${description}.`,
    '',
    ...lines.map(([option, text]) => `  ${option.padEnd(width)}  ${text}`),
    '',
  ].join('\n')
}
