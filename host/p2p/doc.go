// Package p2p is the node on the network: authenticated connections to the
// members of one private mesh, calls, news, block transfer and provider
// records.
//
// What carries the streams lies below two small interfaces, transport and
// overlay, and everything above them is the same everywhere. A native node is a
// hub: go-libp2p, gossipsub and Kademlia. The files that know libp2p are not built
// for GOOS=js. A browser tab is a leaf: its network worker speaks libp2p at the
// other end of a Link, hubs bring it news by floodsub and keep its provider
// records. A leaf is built everywhere, so that it is tested against real hubs.
//
// A peer is named by its Ed25519 key, which the transport's handshake proves:
// TLS 1.3 over TCP, or QUIC. It begins as a stranger. On /inos/hello/1 the side
// that dialed and then the side that listened present their credentials (signed
// memberships, judged by Config.Admit) and the random number of their process;
// from then on both are admitted and every other protocol opens. A stranger
// reaches two protocols: the introduction, and /inos/join/1, the calls by which
// one becomes a member.
//
//	/inos/hello/1    introduction
//	/inos/join/1     calls registered without RequireMember
//	/inos/rpc/1      calls: many at once, over long-lived streams
//	/inos/blocks/1   fetches and batches of blocks
//	/inos/kad/1.0.0  provider records of roots (Kademlia)
//	/meshsub/...     news (gossipsub, signed by the author)
//	/floodsub/1.0.0  the same news, to and from leaves
//
// Invariants:
//   - No handler but the introduction and the open calls sees a byte from a peer
//     that is not admitted and a member at that moment; each request on a
//     long-lived stream checks again.
//   - Whatever arrives is bounded before it is read, and verified before it is
//     delivered: a block's bytes match the address that was asked for.
//   - Every queue has its bound where it is declared; memory for payloads comes
//     from one budget (Limits.ServeBytes), and a peer that does not read or write
//     loses its stream after Limits.Stall.
//   - A wait ends with the caller's context, the peer's departure or Close.
//   - An idle host sends nothing but gossipsub's beat to itself and the
//     connections' keep-alives, one per half minute.
//
// docs/protocols.md describes the bytes; docs/rationale.md says why the
// transports and the pace are what they are.
package p2p
