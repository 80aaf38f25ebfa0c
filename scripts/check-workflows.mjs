import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDocument } from 'yaml'

/** The job that publishes; no other may speak for this repository. */
const PUBLISHER = { file: join('.github/workflows', 'release.yml'), job: 'release' }
const MOST_MINUTES = 30

const workflows = filesIn('.github/workflows')
const forms = [...filesIn('.github/ISSUE_TEMPLATE'), '.github/dependabot.yml']
const problems = [...workflows.flatMap(problemsOfWorkflow), ...forms.flatMap((file) => parse(file).problems)]
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

function problemsOfWorkflow(file) {
  const { problems, value } = parse(file)
  if (problems.length > 0) return problems
  const found = value.permissions === undefined ? ['permissions are not declared'] : []
  const jobs = Object.entries(value.jobs ?? {})
  if (jobs.length === 0) found.push('there are no jobs')
  found.push(...grantsTooMuch(value.permissions, file, 'the workflow'))
  for (const [name, job] of jobs) found.push(...problemsOfJob(file, name, job, value.jobs))
  return found.map((problem) => `${file}: ${problem}`)
}

function problemsOfJob(file, name, job, jobs) {
  const found = grantsTooMuch(job.permissions, file, name)
  for (const needed of [job.needs ?? []].flat()) {
    if (jobs[needed] === undefined) found.push(`${name} needs ${needed}, which there is not`)
  }
  if (job.uses !== undefined) return [...found, ...problemsOfUse(name, job.uses)]
  if (!(job['timeout-minutes'] <= MOST_MINUTES)) found.push(`${name} may run for longer than ${MOST_MINUTES} minutes`)
  for (const step of job.steps ?? []) {
    if (step.uses !== undefined) found.push(...problemsOfUse(name, step.uses))
    // What a stranger wrote in a title or a branch's name would be part of the script.
    if (/\$\{\{\s*(github\.(event|head_ref)|inputs)/.test(step.run ?? ''))
      found.push(`${name} runs what the event says`)
  }
  return found
}

function problemsOfUse(job, uses) {
  if (uses.startsWith('./')) return []
  return /^[\w.-]+\/[\w./-]+@[0-9a-f]{40}$/.test(uses) ? [] : [`${job} uses ${uses}, which can change; name a commit`]
}

function grantsTooMuch(permissions, file, job) {
  if (typeof permissions === 'string') return [`${job} has ${permissions}; name the permissions`]
  if (file === PUBLISHER.file && job === PUBLISHER.job) return []
  const written = Object.entries(permissions ?? {}).filter(([, access]) => access === 'write')
  return written.map(([scope]) => `${job} may write ${scope}`)
}
