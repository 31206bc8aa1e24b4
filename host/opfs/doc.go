// Package opfs is the block store of a browser tab: blocks and the node's records
// in three files of the origin private file system, or in memory where a browser
// has none to give. It is to a tab what host/disk is to a folder, and passes the
// same suite (host/storetest).
//
// Blocks live in extents of 4 KiB units of one large file, and the index, the
// leases and the records in memory, made durable by a log of changes. Two log
// files take turns: when one has grown, a snapshot of everything begins the
// other. docs/formats.md has the bytes.
//
// Invariants:
//   - Every change of the index is one or more ops in one frame of the log. The
//     frame is durable before state.apply performs it, and replaying the log
//     performs the same ops: the tables after a restart are those before.
//   - A frame names a block only after the block's bytes are durable. Extents are
//     reused only after the frame that gave them up is durable.
//   - A log file counts from its snapshot's last frame on; until that is durable
//     the other file is the store.
//   - Bytes are checked against their address on the way in and on the way out.
//     Whatever an extent holds, Get returns the block or an error.
//   - Blocks that a lease names are never evicted. Cache blocks, which no lease
//     names, go least recently used first.
//   - Everything is under one lock, files included. Access handles answer at
//     once, so in a tab, whose Go has a single thread, nobody waits for the lock
//     while a promise is pending.
//
// The logic is portable and runs on any three files that are exclusively ours;
// the tests crash it between any two writes. Only files_js.go and open_js.go
// know the browser, through the glue in frontend/src/tab/store.
package opfs
