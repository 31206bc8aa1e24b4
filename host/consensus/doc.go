// Package consensus makes the ledger durable on one seed: kernel/ledger's state
// machine over a Pebble database of its own.
//
// One goroutine applies commands. It takes all that wait (at most maxGroup), applies them in
// order, writes their entries, their signed forms and the changed rows as one
// batch with one fsync, and then answers them all: a group commit, so sixteen
// callers share an fsync and one caller waits for one.
//
// Invariants:
//   - What Submit has returned, and what any view shows, is on disk. Views wait
//     for a commit in progress.
//   - The rows, the entries and the log of commands change in one atomic batch,
//     so a crash at any instant leaves a state between two groups.
//   - Replaying the log from nothing gives the rows: Verify checks it.
//   - After a failed write the ledger refuses commands until it is opened again,
//     because memory is then ahead of the disk. Views of history go on.
//
// The directory's format is in docs/economy.md. A second implementation of
// api.Ledger over a BFT engine passes the same suite, kernel/ledger/ledgertest.
package consensus
