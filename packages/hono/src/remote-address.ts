import type { Context } from 'hono'

/** What the servers of Node (`@hono/node-server`), Bun and Deno pass to `fetch` with a request. */
interface RuntimeBindings {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string } }
  readonly requestIP?: (request: Request) => { readonly address: string } | null
  readonly remoteAddr?: { readonly hostname?: string }
}

/** Returns the address of the socket, or null if the runtime does not provide it. */
export function remoteAddressOf(c: Context): string | null {
  const env = (c.env ?? {}) as RuntimeBindings & { readonly server?: RuntimeBindings }
  const bindings = env.server ?? env
  return (
    bindings.incoming?.socket?.remoteAddress ??
    bindings.requestIP?.(c.req.raw)?.address ??
    bindings.remoteAddr?.hostname ??
    null
  )
}
