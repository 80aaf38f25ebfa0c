/** Wrong use by the program, thrown where the mistake is made: names the option, the value and the mend. */
export class MisuseError extends TypeError {
  override readonly name = 'MisuseError'
  readonly code = 'misuse'
  readonly option: string

  constructor(option: string, message: string) {
    super(`${option}: ${message}`)
    this.option = option
  }
}
