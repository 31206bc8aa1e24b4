package p2p

import (
	"context"
	"sync"
	"time"

	"inos/kernel/api"
)

// pace is a token bucket of one goroutine.
type pace struct {
	rate, burst float64 // tokens a second, and at most
	tokens      float64
	at          time.Time
}

func newPace(rate, burst int) *pace {
	return &pace{rate: float64(rate), burst: float64(burst), tokens: float64(burst), at: time.Now()}
}

// take takes a token and says how long to wait for one that is missing.
func (p *pace) take(now time.Time) time.Duration {
	p.tokens = min(p.burst, p.tokens+now.Sub(p.at).Seconds()*p.rate)
	p.at = now
	if p.tokens >= 1 {
		p.tokens--
		return 0
	}
	return time.Duration((1 - p.tokens) / p.rate * float64(time.Second))
}

// wait takes a token, waiting for one; false when ctx or gone ended first.
func (p *pace) wait(ctx context.Context, gone <-chan struct{}) bool {
	for {
		d := p.take(time.Now())
		if d == 0 {
			return true
		}
		timer := time.NewTimer(d)
		select {
		case <-timer.C:
		case <-gone:
			timer.Stop()
			return false
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// paces are token buckets of nodes, for any goroutines.
type paces struct {
	rate, burst int
	mu          sync.Mutex
	of          map[api.NodeID]*pace // guarded by mu; at most api.MaxMembers, then begun anew
}

// take takes a token of n's; false when it has none left.
func (p *paces) take(n api.NodeID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.of[n]
	if one == nil {
		if p.of == nil || len(p.of) >= api.MaxMembers {
			p.of = make(map[api.NodeID]*pace)
		}
		one = newPace(p.rate, p.burst)
		p.of[n] = one
	}
	return one.take(time.Now()) == 0
}
