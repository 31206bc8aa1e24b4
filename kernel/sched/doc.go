// Package sched is the payer's scheduler as a pure state machine: Step takes the
// time and one event and returns the effects that the host must perform. It
// knows no clock, network, ledger or randomness.
//
// A job waits in its batch, is placed on a worker, gets an escrow opened when
// that worker charges for its work, is dispatched, and ends. An attempt that
// fails through no fault of the guest is repeated elsewhere.
//
// Invariants:
//   - A job has at most one current attempt and ends exactly once; BatchDone
//     follows the last.
//   - At most one attempt of a job is settled by this payer with payment: the one
//     whose result was accepted. Other escrows of the job are closed by a proof
//     that pays nothing, by the worker's own claim, or by a refund.
//   - Every escrow opened, or possibly opened, stays in the table until the ledger
//     has confirmed that it is closed.
//   - A worker never has more of this payer's jobs than its slots.
//   - Every table is bounded: jobs by Config.MaxJobs, escrows by MaxEscrows,
//     workers by api.MaxMembers; commands in flight by maxCommands of each kind.
//     At a bound new work waits or is Refused.
//   - Equal events at equal times give equal effects.
//
// docs/jobs.md explains the policy.
package sched
