/** Words and phrases to avoid, and what to write instead. A space also matches a line break. */
export const WORDS = [
  ['whoever|whosoever', 'a subject such as the client, the caller or an attacker'],
  ['nobody|no one', '"no client", "no user" or the passive voice'],
  ['somebody|someone|anybody|anyone else', 'a subject such as a user, a client or an attacker'],
  ['everybody', '"all clients" or "all users"'],
  ['thief|thieves|pretenders?|robbed', '"an attacker"'],
  ['strangers?', '"an unknown client", "untrusted" or "unrelated"'],
  ['mends?|mended', '"fix"'],
  ['(is|are|was|were|be|being) told', '"receives" or the verb of the message'],
  ['demands?|demanded', '"requires"'],
  ['earns?|earned', '"is rejected with" or "gets"'],
  ['(is|are|was|were) over', '"expires" or "ends"'],
  ['(goes|go|went) on', '"continues" or "remains valid"'],
  ['says? no', '"rejects"'],
  ['house|doors?|rooms?', '"package", "module" or "directory"'],
  ['of (its|their|his|her|our) own', '"own", "separate" or nothing'],
  ['as (they|it) (are|is|stands?)', '"unchanged"'],
  ['patiently|patience', '"with retries" or "timeout"'],
  ['refus(e|es|ed|ing|al|als)', '"reject" or "rejection"'],
  ['declin(e|es|ed|ing)', '"reject"'],
  ['heed(s|ed)?', '"checks" or "follows"'],
  ['befalls?', '"happens to"'],
  ['anew', '"again"'],
  ['for ever', '"without a limit"'],
  ['lives? (on|in peace|side by side)', '"remains active" or "coexist"'],
  ['opens? for business', '"starts"'],
].map(([text, use]) => ({ pattern: new RegExp(`\\b(?:${text.replaceAll(' ', '\\s+')})\\b`, 'gi'), use }))

/** Exceptions. Each needs a reason, and a text around the word, a pattern of files, or both. */
export const ALLOWED = [
  {
    text: /connections? (?:is |was |are |were )?refus|ECONNREFUSED|refuses? (?:the |new |all )?connections?/i,
    reason: 'term of TCP',
  },
  { text: /\bas it is (?:not|never|only|the|a|an)\b/i, reason: 'ordinary conjunction' },
  { text: /as they are (?:not|never|only|the|all)\b/i, reason: 'ordinary conjunction' },
  { text: /(?:was|is|are|were) over (?:HTTP|HTTPS|TLS|TCP|\d)/i, reason: '"over" as a preposition' },
  { text: /room for|headroom/i, reason: 'space that is available' },
  { files: /\/mutants\/faults\.ts$/, reason: 'quotes the sources, whose words are checked in their own files' },
  { text: /\$\{plan\.seed\}\/thief/, reason: 'a seed; changing it would change every recorded schedule' },
]
