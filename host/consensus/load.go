package consensus

import (
	"context"
	"encoding/binary"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"inos/kernel/api"
	"inos/kernel/ledger"
)

// load restores the machine from its rows and finds the end of the log.
func load(db *pebble.DB, mesh api.NodeID) (*ledger.Machine, uint64, error) {
	var failure error
	machine, err := ledger.Restore(mesh, rows(db, &failure))
	if failure != nil {
		return nil, 0, api.E("consensus.load", api.Unavailable, failure)
	}
	if err != nil {
		return nil, 0, err
	}
	log, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyCommand}, UpperBound: []byte{keyCommand + 1}})
	if err != nil {
		return nil, 0, api.E("consensus.load", api.Unavailable, err)
	}
	defer func() { _ = log.Close() }()
	if !log.Last() {
		return machine, 0, nil
	}
	k := log.Key()
	if len(k) != 9 {
		return nil, 0, corrupt("the log's last key is malformed")
	}
	return machine, binary.BigEndian.Uint64(k[1:]), nil
}

// rows yields the machine's rows. It stores an error of the database in failure.
func rows(db pebble.Reader, failure *error) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for _, prefix := range ledger.RowPrefixes {
			it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
			if err != nil {
				*failure = err
				return
			}
			more := true
			for ok := it.First(); ok && more; ok = it.Next() {
				more = yield(it.Key(), it.Value())
			}
			if err := it.Error(); err != nil {
				*failure = err
			}
			_ = it.Close()
			if !more || *failure != nil {
				return
			}
		}
	}
}

// Verify audits the ledger: it replays the whole log of commands, checking every
// signature, and compares the entries and the resulting state with what is
// stored. It reads one snapshot, so commands go on meanwhile. It returns the
// number of commands replayed, and Corrupt when something differs.
func (l *Ledger) Verify(ctx context.Context) (uint64, error) {
	const op = "consensus.verify"
	var want api.Hash
	var replay *ledger.Machine
	snap, err := l.snapshot(func(m *ledger.Machine) { want, replay = m.Hash(), ledger.New(m.Mesh()) })
	if err != nil {
		return 0, err
	}
	defer l.readers.Done()
	defer func() { _ = snap.Close() }()
	n, err := replayLog(ctx, snap, replay)
	if err != nil {
		return n, api.E(op, api.Other, err)
	}
	if replay.Hash() != want {
		return n, api.Errorf(op, api.Corrupt, "the log of commands does not lead to the stored balances; restore the ledger from a copy")
	}
	return n, nil
}

func replayLog(ctx context.Context, snap *pebble.Snapshot, m *ledger.Machine) (uint64, error) {
	it, err := snap.NewIter(&pebble.IterOptions{LowerBound: []byte{keyCommand}, UpperBound: []byte{keyCommand + 1}})
	if err != nil {
		return 0, api.E("consensus.replay", api.Unavailable, err)
	}
	defer func() { _ = it.Close() }()
	var n uint64
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if err := replayOne(snap, m, it.Value()); err != nil {
			return n, err
		}
		n++
	}
	return n, it.Error()
}

func replayOne(snap *pebble.Snapshot, m *ledger.Machine, v []byte) error {
	at, cmd, err := parseCommand(v)
	if err != nil {
		return err
	}
	checked, err := ledger.Check(cmd)
	if err != nil {
		return api.E("consensus.replay", api.Corrupt, err)
	}
	done, err := m.Apply(at, checked)
	if err != nil {
		return api.E("consensus.replay", api.Corrupt, err)
	}
	for _, want := range done.Entries {
		stored, closer, err := snap.Get(entryKey(want.Seq))
		if err != nil {
			return corrupt("an entry is missing")
		}
		got, err := parseEntry(want.Seq, stored)
		_ = closer.Close()
		if err != nil || got != want {
			return corrupt("an entry differs from what its command did")
		}
	}
	return nil
}
