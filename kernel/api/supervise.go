package api

// ModuleReport is a module as one node supervises it. Counts begin when the node
// starts; times are Unix milliseconds, 0 for never.
type ModuleReport struct {
	Module    ModuleInfo        `json:"module"`
	State     string            `json:"state"` // idle, starting, healthy, degraded or quarantined
	Since     int64             `json:"since,omitempty"`
	Reason    string            `json:"reason,omitempty"`   // of the last crash
	Crashed   int64             `json:"crashed,omitempty"`  // last crash
	Retry     int64             `json:"retry,omitempty"`    // not started again before
	Heartbeat int64             `json:"heartbeat"`          // last call that came, began or ended
	Restarts  uint64            `json:"restarts"`           // crashes, each of which cost an instance
	Crashes   int               `json:"crashes"`            // in a row
	Queued    int               `json:"queued"`             // calls waiting here
	Running   int               `json:"running"`            // calls in progress here
	Calls     uint64            `json:"calls"`              // calls finished here
	Turned    uint64            `json:"turned_away"`        // calls refused by its supervisor
	Gas       uint64            `json:"gas"`                // of the finished calls
	KeptOut   []KeptOut         `json:"kept_out,omitempty"` // payers that may not call it for now
	Denied    map[string]uint64 `json:"denied,omitempty"`   // system calls refused, by name and reason
	Payers    []SyscallPayer    `json:"payers,omitempty"`   // who had it make system calls, the latest first; at most 64
}

// SyscallPayer is what a module's system calls did for one payer since the node
// started.
type SyscallPayer struct {
	Payer   NodeID  `json:"payer"`
	Name    string  `json:"name,omitempty"`
	Served  uint64  `json:"served"`
	Refused uint64  `json:"refused"`
	Spent   Credits `json:"spent"`
	Left    Credits `json:"left"` // of what the payer may have it spend in a day
}

// KeptOut is a payer whose calls made a module trap again and again.
type KeptOut struct {
	Payer NodeID `json:"payer"`
	Name  string `json:"name,omitempty"`
	Until int64  `json:"until"` // Unix milliseconds
}
