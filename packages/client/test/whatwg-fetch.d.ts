/** `fetch` of React Native, which has no types. */
declare module 'whatwg-fetch' {
  export const fetch: typeof globalThis.fetch
  export const Request: typeof globalThis.Request
  export const Response: typeof globalThis.Response
  export const Headers: typeof globalThis.Headers
}
