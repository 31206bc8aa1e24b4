package syscall

import (
	"cmp"
	"slices"

	"inos/kernel/api"
	"inos/kernel/module"
)

// Bounds of what is known of a module's payers.
const (
	maxPayers = 64 // of one module at once; the one idle for longest makes room

	activeFor  = 1e9 // nanoseconds after a request in which its payer counts for the shares
	spareShare = 2   // a payer beyond its share leaves this part of the module's burst to others
)

// payer is what one payer's calls of a module use of what the module may.
//
// Requests are shared fairly: while several payers ask, each has an equal part of the
// module's rate and burst for certain. Beyond its part a payer gets what is left over
// half of the burst, so one alone has everything and one among others keeps nobody
// out. Credits of a day are not shared but bounded, because what was spent in the
// morning cannot be given back to who comes in the evening.
//
// Source: the shares are those of weighted fair queueing, Demers, Keshav and Shenker,
// "Analysis and Simulation of a Fair Queueing Algorithm", SIGCOMM 1989.
type payer struct {
	rate     bucket
	budget   bucket // microcredits; unused of the node itself
	last     int64  // nanoseconds, when it asked last
	inFlight int
	counts   PayerCounts
}

// PayerCounts are what became of one payer's requests since the node started, or since
// it was last forgotten.
type PayerCounts struct {
	Payer   api.NodeID  `json:"payer"`
	Served  uint64      `json:"served"`
	Refused uint64      `json:"refused"`
	Spent   api.Credits `json:"spent"`
	Left    api.Credits `json:"left"` // of what it may have the module spend in a day
}

// accountOf names on whose account a call asks: whose input it works on, else who pays.
func (c *Caller) accountOf() api.NodeID {
	if c.Blame.IsZero() {
		return c.Owner
	}
	return c.Blame
}

// payer finds a payer of the module or makes it. mu is held.
func (e *entry) payer(id api.NodeID, now int64) *payer {
	p := e.payers[id]
	if p == nil {
		if len(e.payers) >= maxPayers {
			e.forgetPayer()
		}
		budget := float64(e.rule.payerBudget())
		p = &payer{rate: newBucket(e.rate.capacity, e.rate.perSecond, now), budget: newBucket(budget, budget/day, now), last: now}
		p.counts.Payer = id
		e.payers[id] = p
	}
	return p
}

// forgetPayer forgets the payer that asked for nothing for longest.
func (e *entry) forgetPayer() {
	var oldest api.NodeID
	var least *payer
	for id, p := range e.payers {
		if p.inFlight == 0 && (least == nil || p.last < least.last) {
			oldest, least = id, p
		}
	}
	if least != nil {
		delete(e.payers, oldest)
	}
}

// admit decides whether a payer's request may be looked at further, of a module that
// is within its own bounds. mu is held.
func (e *entry) admit(p *payer, now int64) *refusal {
	p.last = now
	n := 0
	for _, other := range e.payers {
		if other.inFlight > 0 || now-other.last < activeFor {
			n++
		}
	}
	if n > 1 && p.inFlight >= maxInFlight/n && e.inFlight >= maxInFlight/spareShare {
		return &refusal{Crowded, "this payer has its share of the system calls of this module that are served at once; wait for some to end"}
	}
	p.rate.reshape(now, max(e.rate.capacity/float64(n), 1), e.rate.perSecond/float64(n))
	e.rate.refill(now)
	within := p.rate.take(now, 1)
	if !within && n > 1 && e.rate.tokens-1 < e.rate.capacity/spareShare || !e.rate.take(now, 1) {
		if within {
			p.rate.give(1)
		}
		return &refusal{TooFast, "the module makes more system calls a second than this node allows it, or this payer its share of them; make fewer, larger ones"}
	}
	return nil
}

// spend takes credits from what a payer may have the module spend. The node's own
// calls have the module's budget alone. mu is held.
func (p *payer) spend(amount api.Credits, own bool, now int64) *refusal {
	if !own && !p.budget.take(now, float64(amount)) {
		return &refusal{OverSpent, "this would cost " + amount.String() + " credits, more than is left of what one payer may have the module spend here in a day"}
	}
	p.counts.Spent += amount
	return nil
}

func (p *payer) refund(amount api.Credits, own bool) {
	if !own {
		p.budget.give(float64(amount))
	}
	p.counts.Spent -= min(amount, p.counts.Spent)
}

// payerCounts lists a module's payers, who asked last first. mu is held.
func (e *entry) payerCounts(self api.NodeID, now int64) []PayerCounts {
	payers := make([]*payer, 0, len(e.payers))
	for _, p := range e.payers {
		payers = append(payers, p)
	}
	slices.SortFunc(payers, func(a, b *payer) int {
		return cmp.Or(cmp.Compare(b.last, a.last), slices.Compare(a.counts.Payer[:], b.counts.Payer[:]))
	})
	out := make([]PayerCounts, 0, len(payers))
	e.budget.refill(now)
	for _, p := range payers {
		c := p.counts
		p.budget.refill(now)
		c.Left = api.Credits(min(p.budget.tokens, e.budget.tokens))
		if c.Payer == self {
			c.Left = api.Credits(e.budget.tokens)
		}
		out = append(out, c)
	}
	return out
}

// who is a module and the account on which a call of it asks.
type who struct {
	d  *module.Description
	on api.NodeID
}
