import { matching, type Rule } from '@baton/core/options'

/** The issuer identifier of an authorization server (RFC 8414 section 2). */
export function issuerUrl(): Rule<string> {
  const { expected, parse } = matching(
    /^https?:\/\/[^?#]+$/,
    'an http(s) URL without query and fragment',
    'use the URL of this server, such as https://login.example',
  )
  return {
    expected,
    parse(value, option) {
      const url = parse(value, option)
      // Text such as `https://a b` passes the pattern and is no URL.
      return URL.canParse(url) ? url : parse(undefined, option)
    },
  }
}
