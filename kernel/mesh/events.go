package mesh

import (
	"time"

	"inos/kernel/api"
)

// Event is something that happened outside: one of the types in this file.
type Event interface{ event() }

// Tick says that the time NextTick asked for has come. A spurious one is
// harmless.
type Tick struct{}

// Membership and liveness.

// MembershipReceived is a signed membership, from gossip, a handshake or disk.
// It is verified; a bad one is counted and dropped.
type MembershipReceived struct{ Membership api.Membership }

// RevocationReceived is a signed revocation, from gossip, a seed or disk. It is
// verified; the node it names is disconnected and never placed on again.
type RevocationReceived struct{ Revocation api.Revocation }

// CapabilityReceived is a peer's signed capability, from gossip or a handshake,
// or this node's own whenever it changes. It is verified; an old Seq is ignored.
// A new one counts as having seen the peer.
type CapabilityReceived struct{ Capability api.Capability }

// PeerConnected says that the first connection with a member is up.
type PeerConnected struct{ Node api.NodeID }

// PeerLost says that the last connection with a member is down, or answers a
// Connect that failed.
type PeerLost struct{ Node api.NodeID }

// PeerSeen says that a peer answered or spoke. RTT is the measured round trip,
// 0 when unknown. It answers Probe.
type PeerSeen struct {
	Node api.NodeID
	RTT  time.Duration
}

// Put.

// BlockRef names a block and its number of wire bytes.
type BlockRef struct {
	Addr api.Address
	Size uint32 // wire bytes, 1..api.MaxBlock; in a fetch 0 means unknown
}

// PutBegin opens a put session. Blocks are stored under Lease, a provisional
// lease, until PutCommit turns it into the final one. A holder keeps a
// provisional lease for at least a day after the last store under it, restarts
// included; it never drops part of one. PutDone with an error answers at once
// when the policy cannot be met.
type PutBegin struct {
	Put    api.ID
	Lease  api.LeaseID
	Policy api.Policy
}

// PutBlocks adds a batch. Batch numbers are the caller's, distinct within the
// put. A batch has at most MaxBatchBlocks blocks with distinct addresses; the
// caller keeps at most Config.PutWindow batches unacknowledged, and a batch
// beyond that ends the put with Exhausted. Answered by PutAcked, or by PutDone
// with an error. The host keeps the bytes of the batch until then.
type PutBlocks struct {
	Put    api.ID
	Batch  uint64
	Blocks []BlockRef // owned by the coordinator from here on
}

// PutCommit says that every batch, the root manifest's included, was sent. The
// session waits for outstanding batches, then commits Lease on every holder and
// ends with PutDone.
type PutCommit struct {
	Put   api.ID
	Final api.LeaseID
	Lease api.Lease // what Final stands for; the holders keep its Copies and Until
}

// PutAbort ends a put session without an answer. Release of the provisional
// lease on the holders is asked for with SendRelease.
type PutAbort struct{ Put api.ID }

// StoreAcked answers SendStore: the holder's receipt, its signature verified.
type StoreAcked struct {
	Send    uint64
	Receipt api.Receipt
}

// StoreFailed answers SendStore when nothing of it was stored.
type StoreFailed struct {
	Send uint64
	Kind api.Kind // NoSpace, Denied, Unavailable, Timeout, Corrupt, ...
}

// CommitAcked answers SendCommit. A holder that has the final lease already,
// and not the provisional one, answers so too: the answer was lost.
type CommitAcked struct{ Send uint64 }

// CommitFailed answers SendCommit; with NotFound when the holder knows neither
// lease.
type CommitFailed struct {
	Send uint64
	Kind api.Kind
}

// Fetch.

// FetchBegin opens a fetch session for blocks that the local store does not
// have. Duplicate addresses are delivered once. At most Config.MaxFetch blocks.
type FetchBegin struct {
	Fetch api.ID
	Wants []BlockRef   // in the order wanted; owned by the coordinator from here on
	Hints []api.NodeID // nodes thought to hold them all (provider records, receipts), tried first; at most MaxHints
	// Copies is the number of holders that are expected to have each block; 0
	// means api.DefaultCopies. It steers only where to look first.
	Copies uint8
}

// FetchAbort ends a fetch session without an answer; outstanding requests are
// cancelled.
type FetchAbort struct{ Fetch api.ID }

// FetchArrived says that one block of a SendFetch arrived and matches its
// address. The host hands the bytes on only if the returned effects hold
// Deliver for it.
type FetchArrived struct {
	Send uint64
	Addr api.Address
	Size uint32
}

// FetchMissed says that a SendFetch will not bring these addresses; nil means
// all that have not arrived. Kind NotFound: the holder has none of them.
// Corrupt: it sent other bytes. Anything else: it could not serve now.
type FetchMissed struct {
	Send  uint64
	Addrs []api.Address
	Kind  api.Kind
}

// Repair.

// LocalBlock is one row of the local store's scan.
type LocalBlock struct {
	Addr   api.Address
	Lease  api.LeaseID
	Size   uint32
	Copies uint8 // of the lease; 0 for a lease that repair leaves alone (provisional, cache)
}

// LocalBlocks answers ScanLocal with at most ScanLocal.Limit rows in (address,
// lease) order, after the cursor.
type LocalBlocks struct {
	Scan   uint64
	Blocks []LocalBlock // owned by the coordinator from here on
	Done   bool         // no rows follow
}

// Recheck asks for a scan within Config.RepairRetry although the members did
// not change: a put told this holder that copies are short, or a block was
// found corrupt and fetched again.
type Recheck struct{}

// HasAnswered answers AskHas: Has[i] says whether the peer has Addrs[i].
type HasAnswered struct {
	Send uint64
	Has  []bool
}

// HasFailed answers AskHas when the peer did not.
type HasFailed struct {
	Send uint64
	Kind api.Kind
}

func (Tick) event()               {}
func (MembershipReceived) event() {}
func (RevocationReceived) event() {}
func (CapabilityReceived) event() {}
func (PeerConnected) event()      {}
func (PeerLost) event()           {}
func (PeerSeen) event()           {}
func (PutBegin) event()           {}
func (PutBlocks) event()          {}
func (PutCommit) event()          {}
func (PutAbort) event()           {}
func (StoreAcked) event()         {}
func (StoreFailed) event()        {}
func (CommitAcked) event()        {}
func (CommitFailed) event()       {}
func (FetchBegin) event()         {}
func (FetchAbort) event()         {}
func (FetchArrived) event()       {}
func (FetchMissed) event()        {}
func (LocalBlocks) event()        {}
func (Recheck) event()            {}
func (HasAnswered) event()        {}
func (HasFailed) event()          {}
