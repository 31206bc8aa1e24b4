package syscall

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
)

// Rule is what a node says about the system calls of one module, or of all.
type Rule struct {
	Module string // name, hash or at least its first minDigits digits; "*" for every module that no other rule names

	Allow []string // system calls it may make, of those its manifest lists; empty: all of them
	Deny  []string // system calls it may not make

	Rate   float64     // requests a second, all its instances together; 0: DefaultRate
	Burst  int         // requests at once; 0: twice the rate, at least 1
	Budget api.Credits // what it may spend in 24 hours; 0: DefaultBudget, negative: nothing
	Payer  api.Credits // of that for any one payer but the node itself; 0: half, negative: nothing

	Wait     time.Duration // one call of it may wait so long in system calls without progress; 0: DefaultWait
	FetchAny bool          // it may fetch every link it names, not only those of its call
	Receive  bool          // it may receive messages
}

// Policy is a node's rules. The zero value allows what manifests list, with the
// default rates and budgets.
type Policy struct {
	Rules []Rule      // the first that names the module counts, else the first for "*"; at most MaxRules
	Total api.Credits // what all modules together may spend in 24 hours; 0: DefaultTotal
}

// Defaults and bounds of a policy.
const (
	DefaultRate   = 200
	DefaultBudget = 10 * api.Credit
	DefaultTotal  = 100 * api.Credit
	DefaultWait   = time.Minute
	MaxRules      = 256
	maxRate       = 1e6
	maxWait       = time.Hour
	minDigits     = 32 // of a hash: with fewer, another module of the same first digits can be made
)

// every names all modules, and all system calls.
const every = "*"

// ParseRule reads a rule as settings write it: a module's name or hash, or *,
// then any of allow=A,B deny=A,B rate=N burst=N budget=CREDITS payer=CREDITS
// wait=DURATION fetch=any receive=yes, separated by spaces.
func ParseRule(text string) (Rule, error) {
	words := strings.Fields(text)
	if len(words) == 0 || strings.Contains(words[0], "=") {
		return Rule{}, badRule(text, "it begins with a module's name or hash, or *")
	}
	r := Rule{Module: words[0]}
	if n := len(r.Module); n >= 8 && n < minDigits && strings.Trim(r.Module, "0123456789abcdef") == "" {
		return Rule{}, badRule(text, "give the module's whole hash: others can be made that begin like this one")
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		if problem := r.set(key, value); problem != "" {
			return Rule{}, badRule(text, problem)
		}
	}
	return r, nil
}

func badRule(text, problem string) error {
	return api.Errorf("syscall.rule", api.Invalid, "the rule "+strconv.Quote(text)+" is not readable: "+problem)
}

// set fills in one setting and says what is wrong with it, if anything.
func (r *Rule) set(key, value string) string {
	var err error
	switch key {
	case "allow":
		r.Allow = strings.Split(value, ",")
		return unknownCall(r.Allow)
	case "deny":
		r.Deny = strings.Split(value, ",")
		return unknownCall(r.Deny)
	case "rate":
		if r.Rate, err = strconv.ParseFloat(value, 64); err != nil || !(r.Rate > 0 && r.Rate <= maxRate) {
			return "rate is a number of requests a second above 0, at most 1,000,000"
		}
	case "burst":
		if r.Burst, err = strconv.Atoi(value); err != nil || r.Burst < 1 || r.Burst > maxRate {
			return "burst is a number of requests, at least 1"
		}
	case "budget":
		return amount(&r.Budget, key, value)
	case "payer":
		return amount(&r.Payer, key, value)
	case "wait":
		if r.Wait, err = time.ParseDuration(value); err != nil || r.Wait <= 0 || r.Wait > maxWait {
			return "wait is a time such as 90s, at most 1h"
		}
	case "fetch":
		r.FetchAny = value == "any"
		if !r.FetchAny && value != "named" {
			return "fetch is any or named"
		}
	case "receive":
		r.Receive = value == "yes"
		if !r.Receive && value != "no" {
			return "receive is yes or no"
		}
	default:
		return "there are allow, deny, rate, burst, budget, payer, wait, fetch and receive"
	}
	return ""
}

// amount reads credits, of which none at all are -1 in a rule.
func amount(to *api.Credits, key, value string) string {
	v, err := api.ParseCredits(value)
	if err != nil || v < 0 {
		return key + " is an amount of credits"
	}
	if *to = v; v == 0 {
		*to = -1
	}
	return ""
}

func unknownCall(names []string) string {
	known := []string{every, module.FetchChunk, module.StoreChunk, module.SendMessage, module.SpawnThread, module.KillThread}
	for _, n := range names {
		if !slices.Contains(known, n) && !strings.HasPrefix(n, module.HostCallPrefix) {
			return "there is no system call " + strconv.Quote(n)
		}
	}
	return ""
}

// For returns the rule for a module. named says whether its name is its own;
// otherwise only its hash counts.
func (p *Policy) For(d *module.Description, named bool) Rule {
	for _, r := range p.Rules {
		if named && r.Module == d.Manifest.Name || len(r.Module) >= minDigits && strings.HasPrefix(d.Hash.String(), r.Module) {
			return r
		}
	}
	for _, r := range p.Rules {
		if r.Module == every {
			return r
		}
	}
	return Rule{Module: every}
}

// permits reports whether the node lets the module make a system call.
func (r *Rule) permits(name string) bool {
	listed := func(l []string) bool { return slices.Contains(l, name) || slices.Contains(l, every) }
	return !listed(r.Deny) && (len(r.Allow) == 0 || listed(r.Allow))
}

func (r *Rule) rate() (perSecond, burst float64) {
	perSecond = r.Rate
	if perSecond == 0 {
		perSecond = DefaultRate
	}
	burst = float64(r.Burst)
	if burst == 0 {
		burst = max(2*perSecond, 1)
	}
	return perSecond, burst
}

func (r *Rule) wait() time.Duration {
	if r.Wait == 0 {
		return DefaultWait
	}
	return r.Wait
}

func (r *Rule) budget() api.Credits {
	switch {
	case r.Budget == 0:
		return DefaultBudget
	case r.Budget < 0:
		return 0
	}
	return r.Budget
}

func (r *Rule) payerBudget() api.Credits {
	switch {
	case r.Payer == 0:
		return r.budget() / 2
	case r.Payer < 0:
		return 0
	}
	return min(r.Payer, r.budget())
}

// bucket is a token bucket: it holds at most capacity, fills by perSecond, and
// starts full.
//
// Source: Turner, "New directions in communications (or which way to the
// information age?)", IEEE Communications 24(10), 1986.
type bucket struct {
	tokens, capacity, perSecond float64
	at                          int64 // nanoseconds, when tokens was right
}

func newBucket(capacity, perSecond float64, now int64) bucket {
	return bucket{tokens: capacity, capacity: capacity, perSecond: perSecond, at: now}
}

// take removes n tokens, or none and returns false. A clock that goes back adds
// nothing.
func (b *bucket) take(now int64, n float64) bool {
	if b.refill(now); b.tokens < n {
		return false
	}
	b.tokens -= n
	return true
}

// refill adds what time brought.
func (b *bucket) refill(now int64) {
	if now > b.at {
		b.tokens = min(b.capacity, b.tokens+float64(now-b.at)/1e9*b.perSecond)
		b.at = now
	}
}

// reshape changes how much the bucket holds and how fast it fills from now on.
func (b *bucket) reshape(now int64, capacity, perSecond float64) {
	if b.capacity == capacity && b.perSecond == perSecond {
		return
	}
	b.refill(now)
	b.capacity, b.perSecond, b.tokens = capacity, perSecond, min(b.tokens, capacity)
}

// give puts back what was taken and not used.
func (b *bucket) give(n float64) { b.tokens = min(b.capacity, b.tokens+n) }
