import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDocument } from 'yaml'

/** The only job that may write to this repository and publish. */
const PUBLISHER = { file: join('.github/workflows', 'release.yml'), job: 'release' }
const MAX_MINUTES = 30

const workflows = filesIn('.github/workflows')
const forms = [...filesIn('.github/ISSUE_TEMPLATE'), '.github/dependabot.yml']
const problems = [...workflows.flatMap(checkWorkflow), ...forms.flatMap((file) => parse(file).problems)]
for (const problem of problems) console.error(problem)
console.log(`${workflows.length} workflows, ${forms.length} other files, ${problems.length} problems`)
process.exitCode = problems.length === 0 && workflows.length > 0 ? 0 : 1

function filesIn(folder) {
  return readdirSync(folder).map((name) => join(folder, name))
}

function parse(file) {
  const document = parseDocument(readFileSync(file, 'utf8'), { uniqueKeys: true })
  const problems = [...document.errors, ...document.warnings].map(({ message }) => `${file}: ${message}`)
  return { problems, value: problems.length === 0 ? document.toJS() : {} }
}

function checkWorkflow(file) {
  const { problems, value } = parse(file)
  if (problems.length > 0) return problems
  const found = value.permissions === undefined ? ['permissions are missing'] : []
  const jobs = Object.entries(value.jobs ?? {})
  if (jobs.length === 0) found.push('there are no jobs')
  found.push(...checkPermissions(value.permissions, file, 'the workflow'))
  for (const [name, job] of jobs) found.push(...checkJob(file, name, job, value.jobs))
  return found.map((problem) => `${file}: ${problem}`)
}

function checkJob(file, name, job, jobs) {
  const found = checkPermissions(job.permissions, file, name)
  for (const needed of [job.needs ?? []].flat()) {
    if (jobs[needed] === undefined) found.push(`${name} needs ${needed}, which does not exist`)
  }
  if (job.uses !== undefined) return [...found, ...checkUse(name, job.uses)]
  if (!(job['timeout-minutes'] <= MAX_MINUTES)) found.push(`${name} may run for longer than ${MAX_MINUTES} minutes`)
  for (const step of job.steps ?? []) {
    if (step.uses !== undefined) found.push(...checkUse(name, step.uses))
    // Titles and branch names are untrusted and would become part of the script.
    if (/\$\{\{\s*(github\.(event|head_ref)|inputs)/.test(step.run ?? ''))
      found.push(`${name} uses untrusted event data in a script`)
  }
  return found
}

function checkUse(job, uses) {
  if (uses.startsWith('./')) return []
  return /^[\w.-]+\/[\w./-]+@[0-9a-f]{40}$/.test(uses)
    ? []
    : [`${job} uses ${uses}, which is mutable; use a commit hash`]
}

function checkPermissions(permissions, file, job) {
  if (typeof permissions === 'string') return [`${job} has ${permissions}; list the permissions`]
  if (file === PUBLISHER.file && job === PUBLISHER.job) return []
  const written = Object.entries(permissions ?? {}).filter(([, access]) => access === 'write')
  return written.map(([scope]) => `${job} has write access to ${scope}`)
}
