const emitWarning = process.emitWarning.bind(process)
let silenced = 0

/** Discards process warnings until the returned function is called. Callbacks that fail on purpose emit thousands. */
export function silenceWarnings(): () => void {
  silenced += 1
  process.emitWarning = () => undefined
  return () => {
    silenced -= 1
    if (silenced === 0) process.emitWarning = emitWarning
  }
}
