/** The text of the bundled scripts. */
declare const script: string
export default script
