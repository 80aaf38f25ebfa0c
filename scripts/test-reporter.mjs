import { writeFileSync } from 'node:fs'

/**
 * A reporter of vitest that writes to the file `BATON_TEST_RESULTS`: how many tests passed, which tests did not run, and every failure
 * with its message. Unlike vitest's JSON reporter it includes failed hooks, and errors outside of tests such as unhandled rejections.
 */
export default class TestReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()])
    const withState = (state) => tests.filter((test) => test.result().state === state)
    const results = {
      passed: withState('passed').length,
      skipped: [...withState('skipped'), ...withState('pending')].map(nameOf),
      failures: [
        ...withState('failed').map((test) => failure(nameOf(test), test.result().errors)),
        ...modules.flatMap(failuresOutsideTests),
        ...unhandledErrors.map((error) => failure('an error outside of the tests', [error])),
      ],
    }
    writeFileSync(process.env.BATON_TEST_RESULTS, JSON.stringify(results))
  }
}

/** A file that cannot be loaded and a hook that fails are not failures of a test. */
function failuresOutsideTests(module) {
  const suites = [module, ...module.children.allSuites()].filter((suite) => suite.errors().length > 0)
  return suites.map((suite) => failure(suite === module ? fileOf(module) : nameOf(suite), suite.errors()))
}

function failure(name, errors) {
  return { name, message: errors.map(toText).join('\n') }
}

function toText({ stack, message, diff = '' }) {
  const frames = (stack || message).split('\n').filter((line) => !isFrameOfLibrary(line))
  return [...frames, diff].join('\n').trimEnd()
}

function nameOf(entry) {
  return `${fileOf(entry.module)} > ${entry.fullName}`
}

function fileOf(module) {
  return module.relativeModuleId
}

function isFrameOfLibrary(line) {
  return /^\s+at .*(node_modules|new Promise \(<anonymous>\))/.test(line)
}
