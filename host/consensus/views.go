package consensus

import (
	"context"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"inos/kernel/api"
	"inos/kernel/ledger"
)

// view calls fn with the machine while what it holds is on disk.
func view[T any](l *Ledger, fn func(*ledger.Machine) (T, error)) (T, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.failed.Load() {
		var zero T
		return zero, failure()
	}
	return fn(l.machine)
}

// Balance implements api.Ledger.
func (l *Ledger) Balance(_ context.Context, a api.Account) (api.Credits, error) {
	return view(l, func(m *ledger.Machine) (api.Credits, error) { return m.Balance(a) })
}

// Balances implements api.Ledger.
func (l *Ledger) Balances(context.Context) ([]api.Balance, error) {
	return view(l, func(m *ledger.Machine) ([]api.Balance, error) { return m.Balances(), nil })
}

// Escrow implements api.Ledger.
func (l *Ledger) Escrow(_ context.Context, id api.ID) (api.Escrow, error) {
	return view(l, func(m *ledger.Machine) (api.Escrow, error) { return m.Escrow(id) })
}

// Escrows implements api.Ledger.
func (l *Ledger) Escrows(_ context.Context, q api.EscrowQuery) ([]api.Escrow, error) {
	return view(l, func(m *ledger.Machine) ([]api.Escrow, error) { return m.Escrows(q) })
}

// Totals implements api.Ledger.
func (l *Ledger) Totals(context.Context) (api.LedgerTotals, error) {
	return view(l, func(m *ledger.Machine) (api.LedgerTotals, error) { return m.Totals(), nil })
}

// snapshot returns the database as it is now. The caller closes it and then
// calls readers.Done.
func (l *Ledger) snapshot(also func(*ledger.Machine)) (*pebble.Snapshot, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	select {
	case <-l.closing:
		return nil, closed("consensus.snapshot")
	default:
	}
	if also != nil {
		also(l.machine)
	}
	l.readers.Add(1)
	return l.db.NewSnapshot(), nil
}

// Entries implements api.Ledger. It pages from disk.
func (l *Ledger) Entries(ctx context.Context, q api.EntryQuery) (api.EntryPage, error) {
	const op = "consensus.entries"
	limit, err := ledger.PageLimit(q.Limit)
	if err != nil {
		return api.EntryPage{}, err
	}
	if q.Account != nil && q.Account.Kind == api.EscrowAccount {
		return api.EntryPage{}, api.Errorf(op, api.Invalid, "entries of an escrow are found by their reference, the job's id")
	}
	s, err := l.scan(q)
	if err != nil {
		return api.EntryPage{}, api.E(op, api.Other, err)
	}
	defer s.close()
	var page api.EntryPage
	for looked := 0; s.valid; looked++ {
		seq := s.seq()
		if len(page.Entries) == limit || looked == api.MaxEntryScan {
			page.Next = seq
			if !s.forward {
				page.Next++
			}
			break
		}
		if looked%1024 == 1023 && ctx.Err() != nil {
			return api.EntryPage{}, api.E(op, api.Other, ctx.Err())
		}
		e, err := s.entry()
		if err != nil {
			return api.EntryPage{}, api.E(op, api.Other, err)
		}
		if ledger.Matches(q, &e) {
			page.Entries = append(page.Entries, e)
		}
		s.next()
	}
	if err := s.iter.Error(); err != nil {
		return api.EntryPage{}, api.E(op, api.Unavailable, err)
	}
	return page, nil
}

// scanner walks entries, or an account's index of them, in one direction over
// one snapshot of the database.
type scanner struct {
	snap    *pebble.Snapshot
	done    func()
	iter    *pebble.Iterator
	forward bool
	direct  bool // over entries; otherwise over an index
	valid   bool
}

// scan starts where the query says.
func (l *Ledger) scan(q api.EntryQuery) (*scanner, error) {
	prefix := []byte{keyEntry}
	if q.Account != nil {
		prefix = indexPrefix(*q.Account)
	}
	s := &scanner{forward: q.From > 0, direct: q.Account == nil}
	bounds := pebble.IterOptions{LowerBound: prefix, UpperBound: prefixEnd(prefix)}
	if s.forward {
		bounds.LowerBound = binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], q.From)
	} else if q.Before > 0 {
		bounds.UpperBound = binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], q.Before)
	}
	snap, err := l.snapshot(nil)
	if err != nil {
		return nil, err
	}
	s.snap, s.done = snap, l.readers.Done
	iter, err := snap.NewIter(&bounds)
	if err != nil {
		_ = snap.Close()
		s.done()
		return nil, api.E("consensus.scan", api.Unavailable, err)
	}
	s.iter = iter
	if s.forward {
		s.valid = iter.First()
	} else {
		s.valid = iter.Last()
	}
	return s, nil
}

func (s *scanner) seq() uint64 {
	k := s.iter.Key()
	return binary.BigEndian.Uint64(k[len(k)-8:])
}

func (s *scanner) entry() (api.Entry, error) {
	seq := s.seq()
	if s.direct {
		return parseEntry(seq, s.iter.Value())
	}
	v, done, err := s.snap.Get(entryKey(seq))
	if err != nil {
		return api.Entry{}, corrupt("an indexed entry is missing")
	}
	defer func() { _ = done.Close() }()
	return parseEntry(seq, v)
}

func (s *scanner) next() {
	if s.forward {
		s.valid = s.iter.Next()
	} else {
		s.valid = s.iter.Prev()
	}
}

func (s *scanner) close() {
	_ = s.iter.Close()
	_ = s.snap.Close()
	s.done()
}
