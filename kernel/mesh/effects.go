package mesh

import "inos/kernel/api"

// Effect is something the host is asked to do: one of the types in this file.
type Effect interface{ effect() }

// MemberState is how this node sees a member.
type MemberState uint8

// The states.
const (
	MemberOffline   MemberState = iota // admitted, not seen since this node started
	MemberOnline                       // connected, or heard of recently
	MemberSuspected                    // disconnected or silent; still placed on until gone
	MemberGone                         // not seen for Config.GoneAfter; not placed on
	MemberRemoved                      // revoked or expired; refused
)

var memberStateNames = [...]string{"offline", "online", "suspected", "gone", "removed"}

// String returns the stable lower-case name.
func (s MemberState) String() string {
	if int(s) < len(memberStateNames) {
		return memberStateNames[s]
	}
	return "unknown"
}

// MemberChanged tells that a member's state changed. View is the version of the
// placement view afterwards; it moved only if placement did.
type MemberChanged struct {
	Node  api.NodeID
	State MemberState
	View  uint64
}

// Connect asks for a connection to a member, by the addresses of its
// capability. Answered by PeerConnected or PeerLost. Attempts back off from
// Config.ConnectAfter to Config.ConnectMax.
type Connect struct {
	Node  api.NodeID
	Addrs []string // empty when no capability is known; the host may look it up
}

// Disconnect asks to close every connection with a node. With Kind Denied
// (revoked, or never admitted) or Unverified (expired) the host refuses it from
// now on; with Timeout the connection is only dead and a new one is welcome.
type Disconnect struct {
	Node api.NodeID
	Kind api.Kind
}

// ShareMembers asks to bring a freshly connected peer up to date: send it the
// member table's memberships and revocations, and this node's own capability.
type ShareMembers struct{ Node api.NodeID }

// Probe asks for a round trip with a connected but silent peer. Answered by
// PeerSeen. Silence is an answer too: after Config.ProbeTimeout the peer is
// suspected.
type Probe struct{ Node api.NodeID }

// SendStore asks to make blocks durable on To under Lease: one message with all
// of them. Answered by StoreAcked or StoreFailed.
//
// For a put the bytes are those the caller gave with the batch. For a repair,
// Put is zero and the bytes and the lease's terms are read from the local
// store; if a block is gone there meanwhile the host sends nothing and answers
// StoreFailed with NotFound.
type SendStore struct {
	Send  uint64
	Put   api.ID
	Batch uint64
	Lease api.LeaseID
	To    api.NodeID
	Addrs []api.Address
	Bytes uint64
}

// SendCommit asks a holder to turn the put's provisional lease From into the
// final one atomically. Answered by CommitAcked or CommitFailed.
type SendCommit struct {
	Send  uint64
	Put   api.ID
	To    api.NodeID
	From  api.LeaseID
	Final api.LeaseID
	Lease api.Lease // what Final stands for
	Short bool      // some block has fewer copies than wanted: the holder steps its coordinator with Recheck
}

// SendRelease asks a holder to drop a lease, best effort, with no answer.
type SendRelease struct {
	To    api.NodeID
	Lease api.LeaseID
}

// PutAcked tells that every block of a batch has Acks or more receipts; the
// host may forget its bytes.
type PutAcked struct {
	Put   api.ID
	Batch uint64
	Acks  uint8 // the fewest distinct receipts of any block in the batch
}

// PutDone ends a put session. With Err nil, every block is durable under the
// final lease on at least Acks distinct nodes.
type PutDone struct {
	Put     api.ID
	Acks    uint8
	Holders []api.NodeID // that committed the lease, in id order
	Err     error        // Unavailable, NoSpace, Invalid, Exhausted
}

// SendFetch asks a holder for blocks, one request, streamed back in this order.
// Answered by one FetchArrived or FetchMissed for each address.
type SendFetch struct {
	Send  uint64
	Fetch api.ID
	To    api.NodeID
	Addrs []api.Address
}

// CancelFetch tells that nothing more of a SendFetch is wanted; the host resets
// its stream. No answer is needed.
type CancelFetch struct {
	Send uint64
	To   api.NodeID
}

// Deliver asks to hand the block that just arrived to the fetch's caller.
type Deliver struct {
	Fetch api.ID
	Addr  api.Address
	From  api.NodeID
}

// FetchDone ends a fetch session. With Err nil every wanted block was
// delivered; otherwise Addr is one that was not.
type FetchDone struct {
	Fetch api.ID
	Addr  api.Address
	Err   error // NotFound, Unavailable, Corrupt, Invalid, Exhausted
}

// PeerFault reports that a peer broke the protocol: a receipt for other
// blocks, bytes that do not match. For metrics and reputation.
type PeerFault struct {
	Node api.NodeID
	Kind api.Kind // Corrupt or Invalid
}

// ScanLocal asks for the next page of the local store: at most Limit rows after
// (AfterAddr, AfterLease), exclusive; zero values mean from the start. Answered
// by LocalBlocks.
type ScanLocal struct {
	Scan       uint64
	View       uint64 // the placement view that the scan serves
	AfterAddr  api.Address
	AfterLease api.LeaseID
	Limit      int
}

// AskHas asks a peer which blocks it has. Answered by HasAnswered or HasFailed.
type AskHas struct {
	Send  uint64
	To    api.NodeID
	Addrs []api.Address
}

// RepairProgress reports the running or finished scan.
type RepairProgress struct {
	Scan            uint64
	View            uint64
	Scanned         uint64 // rows looked at
	Blocks          uint64 // copies made
	Bytes           uint64 // wire bytes of those copies
	UnderReplicated uint64 // rows this node answers for that still lack copies
	Done            bool
}

func (MemberChanged) effect()  {}
func (Connect) effect()        {}
func (Disconnect) effect()     {}
func (ShareMembers) effect()   {}
func (Probe) effect()          {}
func (SendStore) effect()      {}
func (SendCommit) effect()     {}
func (SendRelease) effect()    {}
func (PutAcked) effect()       {}
func (PutDone) effect()        {}
func (SendFetch) effect()      {}
func (CancelFetch) effect()    {}
func (Deliver) effect()        {}
func (FetchDone) effect()      {}
func (PeerFault) effect()      {}
func (ScanLocal) effect()      {}
func (AskHas) effect()         {}
func (RepairProgress) effect() {}
