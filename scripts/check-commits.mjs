import { findMergeBase, git } from './git.mjs'

/*
 * Checks the subjects of all commits since the branch left main: `type(scope): imperative`, at most 72 characters. The rules are in
 * CONTRIBUTING.md.
 */
const MAX_LENGTH = 72
const FORMAT = /^(?:feat|fix|perf|refactor|docs|test|build|chore)(?:\([a-z0-9-]+\))?!?: (\S+)( .*)?$/
/** "added", "adding" and the like. Verbs such as "embed" and "bring" also have these endings. */
const NOT_IMPERATIVE =
  /^(?!(?:embed|exceed|feed|need|proceed|seed|shed|speed|bring|ping|ring|sing|spring|string)$)[a-z]+(?:ed|ing)$/i

const base = findMergeBase()
const subjects = base === null ? [] : listSubjects(base)
const problems = subjects.flatMap((subject) => checkSubject(subject).map((problem) => `"${subject}" ${problem}`))
for (const problem of problems) console.error(problem)
console.log(`${subjects.length} commits since main, ${problems.length} problems`)
process.exitCode = problems.length === 0 ? 0 : 1

function listSubjects(base) {
  const output = git('log', '--no-merges', '--format=%s', `${base}..HEAD`) ?? ''
  return output.split('\n').filter((subject) => subject !== '')
}

function checkSubject(subject) {
  const [, verb] = FORMAT.exec(subject) ?? []
  if (verb === undefined) return ['must have the form `type(scope): imperative`; see CONTRIBUTING.md']
  return [
    ...(subject.length > MAX_LENGTH ? [`must have at most ${MAX_LENGTH} characters, got ${subject.length}`] : []),
    ...(subject.endsWith('.') ? ['must not end with a full stop'] : []),
    ...(NOT_IMPERATIVE.test(verb) ? [`must start with an imperative, got "${verb}"`] : []),
  ]
}
