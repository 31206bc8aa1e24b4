package consensus

import (
	"github.com/cockroachdb/pebble/v2"

	"inos/kernel/api"
)

// commitLoop owns all writes. It ends when Close is called.
func (l *Ledger) commitLoop() {
	defer close(l.stopped)
	group := make([]*request, 0, maxGroup)
	for {
		select {
		case r := <-l.queue:
			group = l.gather(append(group[:0], r))
		case <-l.closing:
			return
		}
		l.commitGroup(group)
		for _, r := range group {
			close(r.done)
		}
	}
}

// gather adds what is waiting without waiting for more.
func (l *Ledger) gather(group []*request) []*request {
	for len(group) < maxGroup {
		select {
		case r := <-l.queue:
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

// commitGroup applies and stores a group and sets each request's answer.
func (l *Ledger) commitGroup(group []*request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.writable()
	if err == nil {
		err = l.applyGroup(group)
	}
	if err == nil {
		return
	}
	for _, r := range group {
		r.out, r.err = api.Outcome{}, err
	}
}

// writable refuses a group while the disk is nearly full, before memory changes,
// so that the ledger goes on by itself when there is room again.
func (l *Ledger) writable() error {
	const op = "consensus.commit"
	if l.failed.Load() {
		return failure()
	}
	usage, err := l.fs.GetDiskUsage(l.dir)
	if err == nil && usage.AvailBytes < reserve {
		return api.Errorf(op, api.NoSpace, "the disk of the ledger has less than 32 MiB free; make room")
	}
	return nil
}

func (l *Ledger) applyGroup(group []*request) error {
	const op = "consensus.commit"
	now := l.now()
	batch := l.db.NewBatch()
	defer func() { _ = batch.Close() }()
	for _, r := range group {
		done, err := l.machine.Apply(now, r.checked)
		r.out, r.err = done.Outcome, err
		if !done.Log {
			continue
		}
		if err := l.record(batch, now, r.raw, done.Entries); err != nil {
			l.failed.Store(true)
			return api.E(op, api.Unavailable, err)
		}
	}
	if err := l.machine.Flush(func(k, v []byte) error { return setRow(batch, k, v) }); err != nil {
		l.failed.Store(true)
		return api.E(op, api.Unavailable, err)
	}
	if batch.Empty() {
		return nil
	}
	if err := batch.Commit(pebble.Sync); err != nil || l.log.fatal.Load() {
		l.failed.Store(true)
		return failure()
	}
	return nil
}

// record adds a command and its entries to the batch.
func (l *Ledger) record(batch *pebble.Batch, now int64, raw []byte, entries []api.Entry) error {
	l.commands++
	if err := batch.Set(commandKey(l.commands), commandValue(now, raw), nil); err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		if err := batch.Set(entryKey(e.Seq), entryValue(e), nil); err != nil {
			return err
		}
		if err := index(batch, e); err != nil {
			return err
		}
	}
	return nil
}

// index makes an entry findable by the accounts on its two sides.
func index(batch *pebble.Batch, e *api.Entry) error {
	for _, a := range [...]api.Account{e.From, e.To} {
		if a.Kind == api.EscrowAccount {
			continue
		}
		if err := batch.Set(indexKey(a, e.Seq), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func setRow(batch *pebble.Batch, k, v []byte) error {
	if v == nil {
		return batch.Delete(k, nil)
	}
	return batch.Set(k, v, nil)
}

func failure() error {
	return api.Errorf("consensus.commit", api.Unavailable, "the ledger could not be written; check its disk and restart the node")
}
