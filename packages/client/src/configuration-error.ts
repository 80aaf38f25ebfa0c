/** An invalid option or argument. Thrown by the call that received it. The message names the option, the rule, the value and the fix. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError'
  readonly code = 'invalid_option'
  readonly option: string

  /** `message` completes the sentence: `must be …`, `is missing; …`. */
  constructor(option: string, message: string) {
    super(`option "${option}" ${message}`)
    this.option = option
  }
}
