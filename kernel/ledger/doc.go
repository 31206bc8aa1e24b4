// Package ledger is the mesh's account book as a deterministic state machine:
// commands in, entries out, and nothing else changes it.
//
// A Machine holds accounts in integer microcredits: the treasury, one per
// member, and one per open escrow. A host checks commands (Check, stateless and
// concurrent), applies them in one order with the time it has chosen (Apply),
// and stores the rows that changed (Flush) with the entries. The same commands
// with the same times give the same entries, errors and rows everywhere, which
// is what lets a single seed or several replicas run it.
//
// Invariants:
//   - treasury + members + open escrows == genesis supply, after every command.
//     Commit asserts it before it changes anything.
//   - No account is ever negative.
//   - A command either makes all of its entries or none.
//   - A command takes effect at most once: its ID is remembered until it expires,
//     and it is refused from then on.
//   - An escrow is closed once. A proof names the entry that opened its escrow, so
//     it closes no other, even one that reuses the escrow's ID.
//   - Only grants open member accounts, so every table here is bounded.
//
// The rules of each command stand at its type in kernel/api/command.go and in
// docs/economy.md.
package ledger
