// Package server is the local API of a running node: HTTP over a Unix socket
// and, when asked for, over loopback TCP with a bearer token.
//
// The server owns transport, limits and authentication; what the answers mean
// is the Backend's affair. Short requests go through huma, which derives the
// OpenAPI 3.1 document from the Go types; uploads, downloads, runs and events
// stream, and are plain handlers described in the same document.
//
// Invariants:
//   - Whoever can open the Unix socket is the node's owner: the socket has mode
//     0600. Over TCP every request carries the token, comes to a loopback Host
//     and, when a browser sends it, from an allowed Origin.
//   - A request body is bounded by maxJSON or api.MaxModule, except an upload,
//     which streams and is never held in memory.
//   - Every error leaves as application/problem+json with its kind, so the
//     client's errors.Is(err, api.NotFound) is the backend's. After a stream has
//     begun, an error is its last line or trailer; a stream that ends without
//     one and without a final item was cut off.
//   - Links are secrets. A link's key travels in a header or a body, never in a
//     URL, and is never logged.
//
// Sources: RFC 9457 (problem details), RFC 9110 (trailers), OpenAPI 3.1,
// CloudEvents 1.0.2.
package server
