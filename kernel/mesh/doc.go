// Package mesh is the coordinator of one node: who is in the mesh and alive,
// where blocks belong, how a put reaches enough holders, how a fetch gathers
// blocks from several of them, and how lost copies are made again.
//
// It is a state machine in the manner of etcd's raft: the host calls
//
//	effects := c.Step(now, event)
//
// and performs the effects. The package has no clock, network, disk,
// goroutine, lock or randomness. The same seed, configuration and events give
// the same effects, which is what kernel/sim relies on.
//
// # The host's duties
//
//   - One goroutine calls Step. The returned slice is valid until the next
//     call; the slices inside the effects stay valid and are not written again.
//   - now is the time since the Unix epoch. It does not go back; an earlier
//     value counts as the latest one seen.
//   - After each Step the host arms one timer for NextTick and steps with Tick
//     when it fires. An idle coordinator with no connected peer asks for none.
//   - Every request effect (SendStore, SendCommit, SendFetch, AskHas, Probe,
//     Connect, ScanLocal) is answered by at least one of the events its comment
//     names. Answers that come late or twice are counted and ignored.
//   - Signatures: memberships, revocations and capabilities are verified here.
//     Receipts are verified by the host, which can do so in parallel; the
//     coordinator checks that they name the right holder, lease and blocks.
//     Blocks are verified by the host before FetchArrived.
//   - A request to Self means the local store.
//
// # Invariants
//
//   - Placement is a pure function of the address and of the View: every node
//     with the same member view computes the same holders in the same order.
//   - A batch is acknowledged only when every block in it has valid receipts
//     from min(copies, usable holders) distinct nodes, and never fewer than
//     the policy's MinAcks.
//   - Each wanted block of a fetch is delivered at most once, and a fetch ends
//     exactly once: with every block delivered, or naming one that no live
//     node could serve.
//   - Repair only adds copies. It never deletes one, so a wrong view costs
//     bandwidth and not data.
//   - Every table and queue has its bound in Config or beside its declaration.
package mesh
