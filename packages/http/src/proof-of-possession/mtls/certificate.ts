import { createHash, X509Certificate } from 'node:crypto'
import { type Confirmation, ConfigurationError } from '@baton/core'
import {
  declareOptions,
  matching,
  nested,
  optional,
  type OptionsOf,
  required,
  type Rule,
  rule,
  text,
} from '@baton/core/options'
import { type PlainRequest, soleHeader } from '../../messages/message.js'

const headerName = matching(/^[a-z0-9-]+$/, 'the name of a header in lower case')

const certificateHeaders = declareOptions({
  /** Contains the certificate: PEM, also percent-encoded, or base64 of its DER encoding, also between colons (RFC 9440). */
  header: required(headerName),
  /** The header and its value by which the proxy says that it has verified the chain: needed for `tls_client_auth`. */
  verified: optional(nested(declareOptions({ header: required(headerName), value: required(text()) }))),
})

export type CertificateHeaders = OptionsOf<typeof certificateHeaders>

/**
 * Where client certificates come from: `tls`, the connection itself, or a header of the proxy that terminates TLS. The proxy must set
 * or remove this header on every request: a client that can set it can impersonate every other client.
 */
export type CertificateSource = 'tls' | CertificateHeaders

/** The option `clientCertificates`. */
export function certificateSource(): Rule<CertificateSource> {
  const expected = '"tls" or { header, verified: { header, value } }'
  const tls = rule<'tls'>(expected, (value) => value === 'tls')
  const headers = nested(certificateHeaders)
  return {
    expected,
    parse: (value, option) =>
      typeof value === 'object' && value !== null ? headers.parse(value, option) : tls.parse(value, option),
  }
}

/** The registered name of a client for `tls_client_auth`: one of these (RFC 8705 section 2.1.2). */
export interface TlsClientName {
  readonly tlsClientAuthSubjectDn?: string | undefined
  readonly tlsClientAuthSanDns?: string | undefined
  readonly tlsClientAuthSanUri?: string | undefined
  readonly tlsClientAuthSanIp?: string | undefined
  readonly tlsClientAuthSanEmail?: string | undefined
}

/** The certificate of a request. */
export interface ClientCertificate {
  readonly x509: X509Certificate
  /** The TLS server or proxy has verified its chain. */
  readonly isVerified: boolean
  /** RFC 8705 section 3.1. */
  readonly confirmation: Confirmation
}

const MAX_HEADER_LENGTH = 16_384

/** Returns a function that reads the client certificate of a request from this source only. Throws `ConfigurationError`. */
export function certificateReader(
  source: CertificateSource | undefined,
  trustProxy = 0,
): (request: PlainRequest) => ClientCertificate | null {
  if (source === undefined) return () => null
  if (source === 'tls')
    return (request) => {
      const peer = request.peerCertificate?.() ?? null
      return peer && parseCertificate(peer.der, peer.isVerified)
    }
  const { header, verified } = source
  if (trustProxy < 1)
    throw new ConfigurationError(
      'clientCertificates',
      `must be "tls" without a proxy, got a header and trustProxy ${String(trustProxy)}; set trustProxy to the number of your proxies`,
    )
  return (request) => {
    const text = soleHeader(request, header)
    const der = text === null ? null : decodeHeader(text)
    return (
      der && parseCertificate(der, verified !== undefined && soleHeader(request, verified.header) === verified.value)
    )
  }
}

const PEM_BEGIN = '-----BEGIN CERTIFICATE-----'
const PEM_END = '-----END CERTIFICATE-----'

/** Each pattern repeats one character class only, so that no header takes more than linear time. */
function decodeHeader(text: string): Uint8Array | null {
  if (text.length > MAX_HEADER_LENGTH) return null
  const isBetweenColons = text.length > 2 && text.startsWith(':') && text.endsWith(':')
  const base64 = isBetweenColons ? text.slice(1, -1) : base64In(text)
  // Proxies join the lines of a PEM in different ways.
  const isBase64 = base64 !== null && (isBetweenColons ? /^[A-Za-z0-9+/=]+$/ : /^[A-Za-z0-9+/=\s]+$/).test(base64)
  return isBase64 ? Buffer.from(base64, 'base64') : null
}

/** Returns the base64 text of a PEM (also percent-encoded) or of plain base64, or null for an invalid encoding. */
function base64In(text: string): string | null {
  const pem = (text.startsWith('-----') ? decodePercent(text) : text)?.trimEnd()
  if (pem === undefined) return null
  const start = pem.startsWith(PEM_BEGIN) ? PEM_BEGIN.length : 0
  return pem.slice(start, pem.endsWith(PEM_END) ? -PEM_END.length : undefined)
}

function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function parseCertificate(der: Uint8Array, isVerified: boolean): ClientCertificate | null {
  try {
    const x509 = new X509Certificate(der)
    const thumbprint = createHash('sha256').update(x509.raw).digest('base64url')
    return { x509, isVerified, confirmation: { 'x5t#S256': thumbprint } }
  } catch {
    return null
  }
}

/** Returns true if the certificate was verified and has the registered name (RFC 8705 section 2.1). */
export function isIssuedTo({ x509, isVerified }: ClientCertificate, name: TlsClientName): boolean {
  if (!isVerified) return false
  const { tlsClientAuthSubjectDn: dn, tlsClientAuthSanDns: dns, tlsClientAuthSanEmail: email } = name
  const { tlsClientAuthSanIp: ip, tlsClientAuthSanUri: uri } = name
  const exact = { subject: 'never', wildcards: false, partialWildcards: false } as const
  if (dn !== undefined) return distinguishedName(x509) === dn
  if (dns !== undefined) return x509.checkHost(dns, exact) !== undefined
  if (email !== undefined) return x509.checkEmail(email, exact) !== undefined
  if (ip !== undefined) return x509.checkIP(ip) !== undefined
  return uri !== undefined && urisIn(x509).includes(uri)
}

/** Returns the subject in the order of RFC 4514. A certificate may have alternative names only (RFC 5280 section 4.2.1.6). */
function distinguishedName({ subject }: { readonly subject: string | undefined }): string | null {
  return subject?.split('\n').reverse().join(',') ?? null
}

/** A quoted part, an unquoted part, or a comma. An unclosed quote extends to the end, so that each part is read once. */
const NAME_PARTS = /"(?:[^"\\]|\\.)*"?|[^",]+|,/gs

/** Returns the URIs of a `subjectAltName` in the format of Node.js: separated by commas, with quotes around ambiguous values. */
export function urisIn({ subjectAltName = '' }: Pick<X509Certificate, 'subjectAltName'>): string[] {
  const names = ['']
  for (const part of subjectAltName.match(NAME_PARTS) ?? []) {
    if (part === ',') names.push('')
    else names.push(`${names.pop() ?? ''}${part}`)
  }
  return names.flatMap((name) => /^ ?URI:([^"]+)$/.exec(name)?.[1] ?? [])
}

/** Returns true if the certificate is one of these, byte for byte. Its chain and its names do not count (RFC 8705 section 2.2). */
export function isOneOf({ x509 }: ClientCertificate, certificates: readonly X509Certificate[]): boolean {
  return certificates.some(({ raw }) => raw.equals(x509.raw))
}
