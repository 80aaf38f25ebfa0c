/**
 * Identifiers that were replaced by standard names. Used by ESLint and by check-words.mjs. The second list shrinks: remove a package
 * once it has none of them left.
 */
export const OLD_NAMES =
  /^(demand[A-Z]\w*|MOST_\w+|LEAST_\w+|mend|keeper|vault|weigh|askTheApp|shown|sideBySide|inOneWrite|inGroups|patiently|thief|chances|chronicle)$/

export const PACKAGES_WITH_OLD_NAMES = ['packages/console']
