package supervise

import "inos/kernel/api"

// State is how a module is on this node. The numbers are those of the arena's
// supervisor slots.
type State uint8

// The states.
const (
	Starting    State = 1 + iota // no call has succeeded since it was registered, reset or restarted
	Healthy                      // the last call that told something succeeded
	Degraded                     // it crashed lately; calls run, or wait for its restart
	Quarantined                  // nobody may call it until its owner resets it
)

var stateNames = [...]string{"idle", "starting", "healthy", "degraded", "quarantined"}

// String returns the stable lower-case name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Outcome is what a call tells about its module.
type Outcome uint8

// The outcomes.
const (
	Neutral    Outcome = iota // nothing: refused, canceled, out of gas or time, its input missing
	Success                   // the guest answered, if only with an error of its own
	Trap                      // the guest trapped or broke the ABI
	StartCrash                // no instance could be made, or a resident's run failed
)

// Event is something that happened; the machine takes it in Step.
type Event interface{ event() }

// Arrived says that a call came in and asks whether it may wait for its turn.
// Unless the answer is Refused, Left or Began follows.
type Arrived struct {
	Module api.Hash
	Payer  api.NodeID
}

// Left says that a call that had arrived went away before it began.
type Left struct{ Module api.Hash }

// Began says that a call that had arrived has its turn and asks whether it may
// run. Unless the answer is Refused, Ended follows; after Refused nothing does.
type Began struct {
	Module api.Hash
	Payer  api.NodeID
}

// Ended says what came of a call that began.
type Ended struct {
	Module      api.Hash
	Payer       api.NodeID
	Input       api.Hash // what was computed: a call's identity
	Incarnation uint64   // Machine.Incarnation when it began
	Outcome     Outcome
	Gas         uint64
	Reason      string // of a crash, for people; at most MaxReason bytes are kept
	Random      uint64 // jitters the wait after a crash
}

// Lasted says that a call that began, a resident's run, has gone on for so long
// that the module counts as sound though it has not ended.
type Lasted struct {
	Module api.Hash
	Payer  api.NodeID
}

// Reset forgets what a module did: it starts anew.
type Reset struct{ Module api.Hash }

// Restored puts a module into quarantine as it was before the node restarted.
type Restored struct {
	Module api.Hash
	Since  int64
	Reason string
}

func (Arrived) event()  {}
func (Left) event()     {}
func (Began) event()    {}
func (Ended) event()    {}
func (Lasted) event()   {}
func (Reset) event()    {}
func (Restored) event() {}

// MaxReason bounds a reason in bytes.
const MaxReason = 512

// Effect is something the host must do.
type Effect interface{ effect() }

// Refused answers Arrived or Began: the call must not run.
type Refused struct {
	Cause Cause
	Until int64  // when to try again, Unix milliseconds; 0 means after Reset
	Since int64  // when the cause began, Unix milliseconds
	Why   string // the reason of the last crash, for people
}

// Cause says why a call is refused.
type Cause uint8

// The causes.
const (
	Restarting Cause = iota // the module failed to start; its next try is due at Until
	Waiting                 // this payer's calls crashed it; its next call may run at Until
	Isolated                // this payer's calls crashed it again and again
	InQuarantine
	TableFull // every supervisor is in use
)

var causeNames = [...]string{"restarting", "waiting", "isolated", "quarantined", "table-full"}

// String returns the stable lower-case name.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown"
}

// Changed says that a module entered a state. Reason is empty when it is not a
// crash that did it.
type Changed struct {
	Module   api.Hash
	From, To State
	Reason   string
}

// KeptOut says that a payer is kept from a module until a moment.
type KeptOut struct {
	Module api.Hash
	Payer  api.NodeID
	Until  int64
	Reason string
}

// Dropped says that the machine forgot an idle module to make room; its arena
// slot Slot is free.
type Dropped struct {
	Module api.Hash
	Slot   int
}

func (Refused) effect() {}
func (Changed) effect() {}
func (KeptOut) effect() {}
func (Dropped) effect() {}
