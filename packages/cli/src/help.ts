import type { Command, Option } from './command.js'

export function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  return [
    'Usage: baton <command> [options]',
    '',
    ...commands.map(({ name, about }) => `  ${name.padEnd(width)}  ${about}`),
    '',
    'baton <command> --help tells more. Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 3 something broke.',
    '',
  ].join('\n')
}

export function helpOf({ name, about, operands, options }: Command): string {
  const all: [string, Option][] = [
    ...Object.entries(options),
    ['json', { type: 'boolean', about: 'writes the result as JSON' }],
  ]
  const lines = all.map(
    ([option, { value, about: says }]) => [`--${option}${value === undefined ? '' : ` <${value}>`}`, says] as const,
  )
  const width = Math.max(...lines.map(([option]) => option.length))
  return [
    `Usage: baton ${name} ${operands}`.trimEnd(),
    '',
    `${about}.`,
    '',
    ...lines.map(([option, says]) => `  ${option.padEnd(width)}  ${says}`),
    '',
  ].join('\n')
}
