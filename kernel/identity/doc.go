// Package identity holds keys and what they sign: nodes, meshes, memberships,
// revocations, invites, capabilities and receipts. Commands, cheques and job
// results are signed over their encodings in kernel/wire.
//
// A node is an Ed25519 key pair; its api.NodeID is the public key. A mesh is
// named by the public key of its root, which founds the mesh and signs who is
// in it. All other secrets of a node derive from its 32-byte seed with BLAKE3's
// key derivation, so the seed is the one thing to keep and to back up.
//
// Invariants:
//   - Every signature covers domain || 0x00 || message, and each kind of record
//     has its own domain, so a signature made for one record verifies for no
//     other.
//   - Records are signed over the field-by-field encoding of canonical.go, which
//     has exactly one form for each value. No signature depends on Cap'n Proto.
//   - A signing or derived key never leaves the process except as the seed that
//     the host keeps, and as the secret that its owner exports (secret.go).
//   - Keys of small order, for which signatures can be forged, verify nothing.
//   - A MemberTable answers for one mesh and holds at most api.MaxMembers
//     memberships and api.MaxRevocations revocations; revocations win.
//
// Time is passed in as Unix seconds. There is no randomness here: hosts draw
// seeds and invite ids.
//
// Sources: RFC 8032 (Ed25519); the BLAKE3 paper, section 2.3 (key derivation);
// libsodium's list of small-order points.
package identity
