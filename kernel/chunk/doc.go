// Package chunk turns files and folders into content-addressed blocks and back.
//
// A file is cut into chunks of 1 MiB. Each chunk becomes Compressed-1, the
// canonical Brotli stream of kernel/chunk/brotli1 or the chunk itself where
// that does not pay, and is sealed with ChaCha20-Poly1305 under a key derived
// from its own content. The result is a block; its address is the BLAKE3-256 of
// its bytes. Manifests list the blocks with what opens them, other manifests
// list those, and so on up to one root: a Merkle DAG. A Link is the root's
// address and key. docs/formats.md has the bytes.
//
// Builder makes objects, Object reads them. Both stream: memory depends on
// Options.Window and on the number of folder entries, never on the size of a file.
//
// Invariants:
//   - Building is deterministic. The same content under the same namespace key
//     gives the same blocks, on every machine and in every build; golden vectors
//     in testdata pin it. Paths, modes and modification times are content.
//   - Nothing read is trusted. Every chunk and manifest is checked against the
//     BLAKE3 of its plaintext that its parent states, after decryption and
//     decompression, so a wrong byte anywhere ends in an error and never in
//     wrong output.
//   - A holder sees ciphertext, sizes and nothing else. Within one namespace
//     equal chunks give equal blocks; across namespaces they share nothing.
//   - Every manifest has at most 1 MiB and the DAG at most
//     wire.MaxManifestLevel levels above the leaves.
//
// Sources: RFC 7932 (Brotli), RFC 8439 (ChaCha20-Poly1305), the BLAKE3 paper;
// Douceur et al., "Reclaiming Space from Duplicate Files in a Serverless
// Distributed File System" (2002), for convergent encryption and its limits.
package chunk
