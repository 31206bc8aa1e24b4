package ledger

import (
	"context"
	"sync"

	"inos/kernel/api"
)

// Memory is an api.Ledger that keeps everything in memory and loses it with the
// process: for tests and simulations. Its history is not bounded.
type Memory struct {
	now func() int64

	mu      sync.Mutex
	machine *Machine    // guarded by mu
	entries []api.Entry // guarded by mu; entry Seq is at Seq-1
}

var _ api.Ledger = (*Memory)(nil)

// NewMemory returns an empty ledger whose clock is now, in Unix milliseconds.
func NewMemory(mesh api.NodeID, now func() int64) *Memory {
	return &Memory{now: now, machine: New(mesh)}
}

// Submit implements api.Ledger.
func (l *Memory) Submit(_ context.Context, cmd api.Command) (api.Outcome, error) {
	checked, err := Check(cmd)
	if err != nil {
		return api.Outcome{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	done, err := l.machine.Apply(l.now(), checked)
	l.entries = append(l.entries, done.Entries...)
	clear(l.machine.dirty) // nothing is stored
	return done.Outcome, err
}

// Balance implements api.Ledger.
func (l *Memory) Balance(_ context.Context, a api.Account) (api.Credits, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.machine.Balance(a)
}

// Balances implements api.Ledger.
func (l *Memory) Balances(context.Context) ([]api.Balance, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.machine.Balances(), nil
}

// Escrows implements api.Ledger.
func (l *Memory) Escrows(_ context.Context, q api.EscrowQuery) ([]api.Escrow, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.machine.Escrows(q)
}

// Escrow implements api.Ledger.
func (l *Memory) Escrow(_ context.Context, id api.ID) (api.Escrow, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.machine.Escrow(id)
}

// Totals implements api.Ledger.
func (l *Memory) Totals(context.Context) (api.LedgerTotals, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.machine.Totals(), nil
}

// Entries implements api.Ledger.
func (l *Memory) Entries(_ context.Context, q api.EntryQuery) (api.EntryPage, error) {
	limit, err := PageLimit(q.Limit)
	if err != nil {
		return api.EntryPage{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var page api.EntryPage
	last := uint64(len(l.entries))
	if q.From > 0 {
		for seq := q.From; seq <= last; seq++ {
			if e := l.entries[seq-1]; Matches(q, &e) {
				if len(page.Entries) == limit {
					page.Next = seq
					break
				}
				page.Entries = append(page.Entries, e)
			}
		}
		return page, nil
	}
	if q.Before > 0 {
		last = min(last, q.Before-1)
	}
	for seq := last; seq > 0; seq-- {
		if e := l.entries[seq-1]; Matches(q, &e) {
			if len(page.Entries) == limit {
				page.Next = seq + 1
				break
			}
			page.Entries = append(page.Entries, e)
		}
	}
	return page, nil
}
