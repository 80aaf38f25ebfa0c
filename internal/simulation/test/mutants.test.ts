import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { faults } from '../src/mutants/faults.js'

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8')

describe('mutants', () => {
  it.each(faults.map((fault) => [fault.name, fault] as const))(
    'replaces text that occurs exactly once: %s',
    (_name, { file, find, replace }) => {
      expect(read(file).split(find)).toHaveLength(2)
      expect(replace).not.toBe(find)
    },
  )

  it('gives every fault a unique name', () => {
    expect(new Set(faults.map(({ name }) => name)).size).toBe(faults.length)
  })
})
