import { spawnSync } from 'node:child_process'

/** Returns the output of a git command; null if it fails. */
export function git(...args) {
  const { status, stdout } = spawnSync('git', args, { encoding: 'utf8', maxBuffer: 1e8 })
  return status === 0 ? stdout.trim() : null
}

/** Returns the commit at which this branch left main; null without a main branch. */
export function findMergeBase() {
  return git('merge-base', 'HEAD', 'main') ?? git('merge-base', 'HEAD', 'origin/main')
}
