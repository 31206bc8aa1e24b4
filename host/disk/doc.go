// Package disk keeps blocks and metadata durably in one folder of one machine.
//
// Blocks of api.LargeBlock bytes and more are files; smaller ones, the leases
// and other floors' metadata are records in Pebble. docs/formats.md has the
// layout and the keys.
//
// Invariants:
//   - A block record in Pebble implies that the block's bytes are durable. Files
//     are written, fsynced, renamed and their folders fsynced before the record
//     is committed; the record's deletion is committed before the file goes.
//   - A file without a record is garbage from a crash. Nobody reads it, and a
//     sweep removes it after an unclean stop.
//   - All changes of block and lease records happen under Store.commit, in one
//     synced batch each, which also carries the totals.
//   - A block's record outlives its last lease by at most the release queue's
//     backlog, and is never deleted while a lease names it.
//   - Bytes are checked against their address on the way in and on the way out.
//
// A store that cannot grow keeps serving: Open reserves room for Pebble's own
// log, so that NoSpace comes before Pebble fails. Should Pebble fail to write its log
// all the same, it ends the process; nothing acknowledged is lost by that.
package disk
