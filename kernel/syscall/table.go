package syscall

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"inos/kernel/api"
	"inos/kernel/module"
)

// Bounds of the table.
const (
	maxModules  = 256 // known at once; the one idle for longest makes room
	maxInFlight = 64  // requests of one module being served
	maxNames    = 64  // system calls counted apart for one module; the rest as "other"

	day = 24 * 60 * 60
)

// Reason says why a request was refused. The names appear in counters.
type Reason string

// The reasons.
const (
	Malformed Reason = "malformed" // the request cannot be read or breaks a bound
	Spoofed   Reason = "spoofed"   // it names another module as its source
	Unlisted  Reason = "unlisted"  // the manifest does not list the system call
	Forbidden Reason = "forbidden" // the node's rules refuse it
	Crowded   Reason = "crowded"   // too many requests in flight
	TooFast   Reason = "rate"      // above the rate
	Ungranted Reason = "ungranted" // an address that the call was not given
	Limited   Reason = "limited"   // a limit of the call: objects, threads, gas
	OverSpent Reason = "budget"    // above the budget
	Waited    Reason = "waited"    // the call has waited for as long as it may
)

// kinds are what a guest sees of each reason.
var kinds = map[Reason]api.Kind{
	Malformed: api.Invalid, Spoofed: api.Denied, Unlisted: api.Denied, Forbidden: api.Denied, Crowded: api.Exhausted,
	TooFast: api.Exhausted, Ungranted: api.Denied, Limited: api.Exhausted, OverSpent: api.Unfunded, Waited: api.Exhausted,
}

// fixed reports whether a refusal depends on the call alone.
func (r Reason) fixed() bool {
	return r == Malformed || r == Spoofed || r == Unlisted || r == Ungranted || r == Limited
}

// refusal is the error of a request that was not served.
type refusal struct {
	reason Reason
	msg    string
}

func (r *refusal) Error() string { return r.msg }

// table holds what is known of each module: its rule, its buckets and counters.
type table struct {
	mu      sync.Mutex
	policy  Policy
	named   func(*module.Description) bool
	self    api.NodeID          // the node; its own calls have no payer's bound
	modules map[api.Hash]*entry // guarded by mu; at most maxModules
	total   bucket              // guarded by mu; microcredits
	used    uint64              // guarded by mu; orders entries by last use
}

type entry struct {
	name     string
	named    bool // the name was the module's own when rule was chosen
	rule     Rule
	rate     bucket
	budget   bucket // microcredits
	inFlight int
	used     uint64
	counts   map[string]*Counts
	payers   map[api.NodeID]*payer // at most maxPayers, and one for each request in flight
}

// Counts are what became of one system call of a module since the node started.
type Counts struct {
	Served  uint64            `json:"served"`
	Failed  uint64            `json:"failed"`            // dispatched, and failed
	Refused map[Reason]uint64 `json:"refused,omitempty"` // not dispatched
}

// ModuleCounts are the counters of one module.
type ModuleCounts struct {
	Module   api.Hash          `json:"module"`
	Name     string            `json:"name"`
	InFlight int               `json:"in_flight"`
	Syscalls map[string]Counts `json:"syscalls"` // by name
	Payers   []PayerCounts     `json:"payers"`   // who asked last first
}

func newTable(p Policy, named func(*module.Description) bool, self api.NodeID, now int64) *table {
	total := p.Total
	if total == 0 {
		total = DefaultTotal
	}
	return &table{policy: p, named: named, self: self, modules: map[api.Hash]*entry{}, total: newBucket(float64(total), float64(total)/day, now)}
}

// entry finds a module's entry or makes it. mu is held.
func (t *table) entry(d *module.Description, now int64) *entry {
	t.used++
	named := t.named(d)
	e := t.modules[d.Hash]
	if e == nil {
		if len(t.modules) >= maxModules {
			t.evict()
		}
		e = &entry{name: d.Manifest.Name, named: !named, counts: map[string]*Counts{}, payers: map[api.NodeID]*payer{}}
		t.modules[d.Hash] = e
	}
	if e.named != named {
		e.named = named
		e.govern(t.policy.For(d, named), now)
	}
	e.used = t.used
	return e
}

// govern puts the module under a rule.
func (e *entry) govern(r Rule, now int64) {
	e.rule = r
	perSecond, burst := r.rate()
	e.rate = newBucket(burst, perSecond, now)
	budget := float64(r.budget())
	e.budget = newBucket(budget, budget/day, now)
	for _, p := range e.payers { // what they spent stays spent
		budget := float64(r.payerBudget())
		p.budget.reshape(now, budget, budget/day)
	}
}

// evict forgets the module that made no request for longest. Its budget starts
// anew when it comes back; Policy.Total holds for all that do.
func (t *table) evict() {
	var oldest api.Hash
	var least *entry
	for h, e := range t.modules {
		if e.inFlight == 0 && (least == nil || e.used < least.used) {
			oldest, least = h, e
		}
	}
	if least != nil {
		delete(t.modules, oldest)
	}
}

// begin admits one request of name to be looked at further, or refuses it.
// Admitted requests end with done.
func (t *table) begin(w who, name string, now int64) *refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(w.d, now)
	switch {
	case !w.d.May(name):
		return &refusal{Unlisted, "the module's manifest does not list " + name}
	case !e.rule.permits(name):
		return &refusal{Forbidden, "this node does not let the module call " + name}
	case e.inFlight >= maxInFlight:
		return &refusal{Crowded, "64 system calls of this module are being served; wait for some to end"}
	}
	p := e.payer(w.on, now)
	if r := e.admit(p, now); r != nil {
		return r
	}
	e.inFlight++
	p.inFlight++
	return nil
}

// done ends an admitted request.
func (t *table) done(w who, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(w.d, now)
	e.inFlight--
	e.payer(w.on, now).inFlight--
}

// spend takes credits from the payer's budget, the module's and the node's.
func (t *table) spend(w who, amount api.Credits, now int64) *refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(w.d, now)
	p, own := e.payer(w.on, now), w.on == t.self
	if r := p.spend(amount, own, now); r != nil {
		return r
	}
	if !e.budget.take(now, float64(amount)) {
		p.refund(amount, own)
		return &refusal{OverSpent, "this would cost " + amount.String() + " credits, more than is left of what the module may spend here in a day"}
	}
	if !t.total.take(now, float64(amount)) {
		p.refund(amount, own)
		e.budget.give(float64(amount))
		return &refusal{OverSpent, "this would cost " + amount.String() + " credits, more than is left of what all modules may spend here in a day"}
	}
	return nil
}

// refund gives back what was not spent after all.
func (t *table) refund(w who, amount api.Credits, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(w.d, now)
	e.payer(w.on, now).refund(amount, w.on == t.self)
	e.budget.give(float64(amount))
	t.total.give(float64(amount))
}

// count notes what became of a request.
func (t *table) count(w who, name string, err error, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(w.d, now)
	p := e.payer(w.on, now)
	c := e.counts[name]
	if c == nil {
		if len(e.counts) >= maxNames {
			name = "other"
			c = e.counts[name]
		}
		if c == nil {
			c = &Counts{}
			e.counts[name] = c
		}
	}
	switch r := err.(type) {
	case nil:
		c.Served++
		p.counts.Served++
	case *refusal:
		p.counts.Refused++
		if c.Refused == nil {
			c.Refused = map[Reason]uint64{}
		}
		c.Refused[r.reason]++
	default:
		c.Failed++
	}
}

// snapshot copies the counters, by module name and hash.
func (t *table) snapshot(now int64) []ModuleCounts {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]ModuleCounts, 0, len(t.modules))
	for h, e := range t.modules {
		m := ModuleCounts{Module: h, Name: e.name, InFlight: e.inFlight, Syscalls: map[string]Counts{}, Payers: e.payerCounts(t.self, now)}
		for name, c := range e.counts {
			one := *c
			one.Refused = map[Reason]uint64{}
			for r, n := range c.Refused {
				one.Refused[r] = n
			}
			m.Syscalls[name] = one
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b ModuleCounts) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), slices.Compare(a.Module[:], b.Module[:]))
	})
	return out
}
