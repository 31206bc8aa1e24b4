package sched

import "inos/kernel/api"

// Event is something that happened; the machine takes it in Step. An event that
// names a job, attempt, command or worker the machine does not know is ignored,
// so late and repeated events are harmless.
type Event interface{ event() }

// Submit asks for a batch. The answer is JobChanged per job and in the end
// BatchDone, or Refused, all or nothing.
type Submit struct {
	Batch api.ID
	Jobs  []Job // 1..MaxBatchJobs; the machine keeps the slice
}

// Job is one job of a batch with what the host knows about its input.
type Job struct {
	Spec    api.JobSpec
	Name    string       // the input's name, for people
	Holders []api.NodeID // nodes that hold the whole input, at most MaxHolders are looked at
	Size    uint64       // input bytes; 0 when unknown or none
}

// WorkerUpdate is the current state of a worker, this node included: from
// gossip, or from a quote it gave. Later replaces earlier.
type WorkerUpdate struct {
	Node      api.NodeID
	Online    bool
	Workers   uint16      // jobs it runs at once; 0 means it runs none
	Queue     uint16      // jobs waiting or running there, of all payers
	Price     api.Credits // per Ggas
	LatencyMS float64     // round trip; 0 when unknown
	Warm      []api.Hash  // modules it has compiled, at most MaxWarm are kept
	Quoted    bool        // the answer to a Quote: Price is honoured until ValidTill
	ValidTill int64       // Unix milliseconds; only with Quoted
}

// WorkerLost says that a node is unreachable. Its attempts are tried elsewhere.
type WorkerLost struct{ Node api.NodeID }

// EscrowOpened says that an OpenEscrow command was applied. Outcome is the ledger's.
type EscrowOpened struct {
	Command api.ID
	First   uint64 // Outcome.First
}

// EscrowFailed says that an OpenEscrow command failed. With Unavailable,
// Timeout and Canceled its effect is unknown and the machine treats its escrows
// as possibly open.
type EscrowFailed struct {
	Command api.ID
	Kind    api.Kind
	Message string
}

// Accepted says that the worker has taken the attempt and starts it when a
// worker slot is free. Optional: a host whose dispatch answers with the result
// directly does not send it.
type Accepted struct {
	Job     api.ID
	Attempt uint8
}

// Finished brings a worker's result, success or failure. The host has checked
// Result.Sig and that Result.Worker sent it.
type Finished struct {
	Attempt uint8
	Result  api.JobResult
}

// Failed says that an attempt failed without a signed result: the worker did
// not answer, or broke the connection.
type Failed struct {
	Job     api.ID
	Attempt uint8
	Kind    api.Kind
	Message string
}

// Closed says that a Settle or Refund command was applied.
type Closed struct{ Command api.ID }

// CloseFailed says that a Settle or Refund command failed.
type CloseFailed struct {
	Command api.ID
	Kind    api.Kind
}

// Cancel stops a job, or a whole batch when Job is zero.
type Cancel struct {
	Batch api.ID
	Job   api.ID
}

// Adopt hands over escrows of this payer found open in the ledger at start. The
// machine refunds them when they may be.
type Adopt struct{ Escrows []api.Escrow }

// Tick lets time pass. The host sends one when Next is due.
type Tick struct{}

func (Submit) event()       {}
func (WorkerUpdate) event() {}
func (WorkerLost) event()   {}
func (EscrowOpened) event() {}
func (EscrowFailed) event() {}
func (Accepted) event()     {}
func (Finished) event()     {}
func (Failed) event()       {}
func (Closed) event()       {}
func (CloseFailed) event()  {}
func (Cancel) event()       {}
func (Adopt) event()        {}
func (Tick) event()         {}

// Effect is something the host must do. Effects may be performed concurrently,
// and none of them may block the next Step.
type Effect interface{ effect() }

// Refused answers a Submit that was not taken; nothing of it remains.
type Refused struct {
	Batch api.ID
	Err   error // Exhausted when the tables are full, Invalid, Exists
}

// Quote asks a worker for its price. The host answers with a WorkerUpdate with
// Quoted set, or with WorkerLost.
type Quote struct{ Node api.NodeID }

// OpenEscrow submits a command with Op EscrowOpen under this ID, signed by this
// node; the host answers EscrowOpened or EscrowFailed. It retries Unavailable
// with the same signed command while that is valid.
type OpenEscrow struct {
	Command api.ID
	Escrows []api.Escrow
}

// Dispatch sends an attempt to a worker, which may be this node. The host
// answers with Finished or Failed, after an optional Accepted.
type Dispatch struct {
	To      api.NodeID
	Attempt uint8       // from 1
	Spec    api.JobSpec // the machine's copy; Params is shared, do not write to it
	Escrow  api.Escrow  // with Seq set; zero when no payment is due
}

// Stop tells a worker to give an attempt up. No answer is needed.
type Stop struct {
	To      api.NodeID
	Job     api.ID
	Attempt uint8
}

// Settle submits a command with Op EscrowSettle; the host answers Closed or
// CloseFailed.
type Settle struct {
	Command     api.ID
	Settlements []api.Settlement
}

// Refund submits a command with Op EscrowRefund; the host answers Closed or
// CloseFailed.
type Refund struct {
	Command api.ID
	Escrows []api.ID
}

// JobChanged says that a job entered a state. After a final state it is not
// reported again.
type JobChanged struct {
	Job      api.ID
	Batch    api.ID
	State    api.JobState
	Node     api.NodeID     // the worker, when running or done
	Attempts uint8          // dispatched so far
	Price    api.Credits    // to be settled, when final
	Kind     api.Kind       // why it failed
	Message  string         // why it failed, for people
	Result   *api.JobResult // the accepted result, when there is one
}

// BatchDone says that every job of a batch is final. The machine has forgotten
// the batch; its escrows may still be closing.
type BatchDone struct {
	Batch   api.ID
	Done    int
	Failed  int
	Stopped int
}

func (Refused) effect()    {}
func (Quote) effect()      {}
func (OpenEscrow) effect() {}
func (Dispatch) effect()   {}
func (Stop) effect()       {}
func (Settle) effect()     {}
func (Refund) effect()     {}
func (JobChanged) effect() {}
func (BatchDone) effect()  {}
