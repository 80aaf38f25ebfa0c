/** Identifiers that were replaced by standard names. Used by ESLint and by check-words.mjs. */
export const OLD_NAMES =
  /^(demand[A-Z]\w*|MOST_\w+|LEAST_\w+|mend|keeper|vault|weigh|askTheApp|shown|sideBySide|inOneWrite|inGroups|patiently|thief|chances|chronicle)$/
