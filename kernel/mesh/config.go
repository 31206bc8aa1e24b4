package mesh

import (
	"time"

	"inos/kernel/api"
	"inos/kernel/identity"
)

// Bounds that are not configuration.
const (
	MaxBatchBlocks = 4096    // blocks in one PutBlocks
	MaxHints       = 16      // nodes in FetchBegin.Hints
	MaxScanPage    = 1024    // rows in one LocalBlocks
	MaxSendBlocks  = 4096    // blocks in one SendStore, SendFetch or AskHas
	MaxSendBytes   = 8 << 20 // wire bytes in one SendStore, unless one block alone is larger
)

// Config configures a Coordinator. Zero means the default in every field but
// Self and Members.
type Config struct {
	Self    api.NodeID            // required
	Members *identity.MemberTable // required; owned by the coordinator's goroutine, knows Self

	// GoneAfter is how long a suspected peer may go unseen before it is declared
	// gone and its copies are made elsewhere. 100 ms..1 h; default 5 s.
	GoneAfter time.Duration
	// FreshFor is how long a capability keeps a peer online that is not
	// connected to this node. 1 s..24 h; default 90 s.
	FreshFor time.Duration
	// ProbeAfter is the silence after which a connected peer is probed.
	// 100 ms..1 h; default 5 s. Negative: never.
	ProbeAfter time.Duration
	// ProbeTimeout is how long a probe may take before the peer is suspected.
	// 10 ms..1 min; default 2 s.
	ProbeTimeout time.Duration
	// ConnectAfter and ConnectMax bound the exponential backoff between attempts
	// to connect to a member. 10 ms..1 h; defaults 500 ms and 30 s.
	ConnectAfter, ConnectMax time.Duration
	// MaxConnect bounds how many members this node tries to stay connected to.
	// 1..api.MaxMembers; default 64.
	MaxConnect int

	// MaxPuts bounds open put sessions. 1..4096; default 64.
	MaxPuts int
	// PutWindow bounds the unacknowledged batches of one put. 1..256; default 8.
	PutWindow int
	// StoreTimeout is how long a SendStore or SendCommit may stay unanswered.
	// 100 ms..1 h; default 60 s.
	StoreTimeout time.Duration
	// AvoidFor is how long a holder that refused or failed a store is passed
	// over. 100 ms..1 h; default 10 s.
	AvoidFor time.Duration

	// MaxFetches bounds open fetch sessions. 1..65536; default 1024.
	MaxFetches int
	// MaxFetch bounds the blocks of one fetch. 1..1<<20; default 16384.
	MaxFetch int
	// FetchWindow is how many bytes are requested from one holder ahead of
	// arrival, per session. 64 KiB..1 GiB; default 16 MiB.
	FetchWindow int
	// HedgeAfter is how long a holder may bring nothing before its blocks are
	// asked of another one too; a holder known to be slow gets four times what a
	// block takes it. 1 ms..1 min; default 400 ms.
	HedgeAfter time.Duration
	// FetchTimeout is how long a holder may bring nothing before it is given up
	// for the session. 10 ms..10 min; default 20 s.
	FetchTimeout time.Duration
	// FetchRounds is how often every holder is tried before a fetch fails.
	// 1..16; default 3.
	FetchRounds int

	// RepairDelay is how long the view must be quiet before a scan starts, so
	// that one scan serves a burst of changes. 1 ms..1 h; default 1 s.
	RepairDelay time.Duration
	// RepairRate bounds repair traffic, bytes per second. 4 KiB..; default 64 MiB.
	RepairRate int
	// RepairRetry is the pause before a scan that left blocks under-replicated
	// for reasons other than too few nodes is repeated. 100 ms..24 h; default 15 s.
	RepairRetry time.Duration
	// RescanEvery repeats a scan in a quiet mesh, to find copies that were lost
	// silently. 1 min..30 days; default 6 h. Negative: never.
	RescanEvery time.Duration

	// VerifyCapability checks a capability's signature; nil means
	// identity.VerifyCapability. Simulations with trusted peers replace it.
	VerifyCapability func(api.Capability) error
}

// withDefaults fills the zero fields and checks the bounds.
func (c Config) withDefaults() (Config, error) {
	if c.Self.IsZero() || c.Members == nil {
		return c, api.Errorf("mesh.config", api.Invalid, "Self and Members are required")
	}
	if c.VerifyCapability == nil {
		c.VerifyCapability = identity.VerifyCapability
	}
	var v validator
	v.span("GoneAfter", &c.GoneAfter, 5*time.Second, 100*time.Millisecond, time.Hour)
	v.span("FreshFor", &c.FreshFor, 90*time.Second, time.Second, 24*time.Hour)
	v.spanOrNever("ProbeAfter", &c.ProbeAfter, 5*time.Second, 100*time.Millisecond, time.Hour)
	v.span("ProbeTimeout", &c.ProbeTimeout, 2*time.Second, 10*time.Millisecond, time.Minute)
	v.span("ConnectAfter", &c.ConnectAfter, 500*time.Millisecond, 10*time.Millisecond, time.Hour)
	v.span("ConnectMax", &c.ConnectMax, 30*time.Second, c.ConnectAfter, time.Hour)
	v.count("MaxConnect", &c.MaxConnect, 64, 1, api.MaxMembers)
	v.count("MaxPuts", &c.MaxPuts, 64, 1, 4096)
	v.count("PutWindow", &c.PutWindow, 8, 1, 256)
	v.span("StoreTimeout", &c.StoreTimeout, time.Minute, 100*time.Millisecond, time.Hour)
	v.span("AvoidFor", &c.AvoidFor, 10*time.Second, 100*time.Millisecond, time.Hour)
	v.count("MaxFetches", &c.MaxFetches, 1024, 1, 65536)
	v.count("MaxFetch", &c.MaxFetch, 16384, 1, 1<<20)
	v.count("FetchWindow", &c.FetchWindow, 16<<20, 64<<10, 1<<30)
	v.span("HedgeAfter", &c.HedgeAfter, 400*time.Millisecond, time.Millisecond, time.Minute)
	v.span("FetchTimeout", &c.FetchTimeout, 20*time.Second, 10*time.Millisecond, 10*time.Minute)
	v.count("FetchRounds", &c.FetchRounds, 3, 1, 16)
	v.span("RepairDelay", &c.RepairDelay, time.Second, time.Millisecond, time.Hour)
	v.count("RepairRate", &c.RepairRate, 64<<20, 4<<10, 1<<40)
	v.span("RepairRetry", &c.RepairRetry, 15*time.Second, 100*time.Millisecond, 24*time.Hour)
	v.spanOrNever("RescanEvery", &c.RescanEvery, 6*time.Hour, time.Minute, 30*24*time.Hour)
	return c, v.err
}

// validator fills defaults and keeps the first field out of bounds.
type validator struct{ err error }

func (v *validator) refuse(name string) {
	if v.err == nil {
		v.err = api.Errorf("mesh.config", api.Invalid, name+" is out of its bounds; see mesh.Config")
	}
}

func (v *validator) span(name string, d *time.Duration, def, low, high time.Duration) {
	if *d == 0 {
		*d = def
	}
	if *d < low || *d > high {
		v.refuse(name)
	}
}

func (v *validator) spanOrNever(name string, d *time.Duration, def, low, high time.Duration) {
	if *d >= 0 {
		v.span(name, d, def, low, high)
	}
}

func (v *validator) count(name string, n *int, def, low, high int) {
	if *n == 0 {
		*n = def
	}
	if *n < low || *n > high {
		v.refuse(name)
	}
}
