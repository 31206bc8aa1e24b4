// Package api is the vocabulary that every part of INOS shares: identifiers,
// addresses, credits, errors, and the interfaces between the floors.
//
// It imports only the standard library and holds no behaviour beyond parsing,
// formatting and validation, so the kernel, the hosts, the server and the
// clients can all name the same things without knowing each other. A concept
// has one name here and keeps it in Go, Rust, TypeScript, the schemas, the
// command line and the documentation.
//
// The nouns, from the bottom up:
//
//   - A block is a bounded run of bytes as it travels and rests, named by its
//     Address, the BLAKE3-256 of those bytes.
//   - A manifest is a block that lists other blocks; the manifest at the top of
//     an object is its root. A Link is a root and the key that opens it.
//   - A lease says who keeps an object, in how many copies and until when. A
//     holder signs a Receipt for the blocks it keeps under a lease.
//   - A mesh is a set of nodes that share a root key. A Membership admits one
//     node; a Capability is what that node offers.
//   - A module is a WebAssembly file named by its hash; it has units with
//     methods. A job is one call of a method on one input.
//   - Credits move between accounts by entries whose sum is always zero.
package api
