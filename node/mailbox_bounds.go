package node

import (
	"errors"
	"fmt"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// room makes place for a letter of size bytes from p, or says why there is none.
// What one node sends cannot take what others need. mu is held.
func (b *mailbox) room(p peer, size int) error {
	const op = "node.message"
	if len(b.queue) >= maxLetters || b.bytes+size > maxLetterBytes {
		return api.Errorf(op, api.Exhausted, "the module's mailbox is full; send again when it has caught up")
	}
	if p.node != b.n.id.ID() {
		letters, bytes := 0, 0
		for _, l := range b.queue {
			if l.From == p.node {
				letters++
				bytes += len(l.Message.Data)
			}
		}
		if letters >= maxLetters/4 || bytes+size > maxLetterBytes/4 {
			return api.Errorf(op, api.Exhausted, "a quarter of the module's mailbox holds messages of your node; send again when it has caught up")
		}
	}
	if _, known := b.last[p]; known {
		return nil
	}
	return b.remember(p)
}

// remember makes place for a new sender: that of one that has not written for
// forgetAfter. mu is held.
func (b *mailbox) remember(p peer) error {
	of := 0
	var oldest, oldestOf peer
	for q, r := range b.last {
		if older(r, b.last[oldest]) {
			oldest = q
		}
		if q.node != p.node {
			continue
		}
		of++
		if older(r, b.last[oldestOf]) {
			oldestOf = q
		}
	}
	var which peer
	switch {
	case of >= maxPeersOf:
		which = oldestOf
	case len(b.last) >= maxPeers:
		which = oldest
	default:
		return nil
	}
	if b.recent(b.last[which]) {
		return api.Errorf("node.message", api.Exhausted, fmt.Sprintf(
			"%d modules of your node, or %d of all, have written to the module within the hour, which is all its mailbox remembers; try again later", maxPeersOf, maxPeers))
	}
	delete(b.last, which)
	return b.n.meta.DeleteLazy(b.receiptKey(which))
}

// older reports whether a was given before b; the zero receipt is the newest.
func older(a, b wire.MessageReceipt) bool { return b.AcceptedMS == 0 || a.AcceptedMS < b.AcceptedMS }

// recent reports whether a sender may still repeat the message.
func (b *mailbox) recent(r wire.MessageReceipt) bool {
	return time.Now().UnixMilli()-r.AcceptedMS < forgetAfter.Milliseconds()
}

// close ends the mailbox and deletes what it keeps. idle asks for that only if
// nothing would be lost, and close reports whether it was done.
func (b *mailbox) close(idle bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if idle {
		if len(b.queue) > 0 || b.pumping {
			return false
		}
		for _, r := range b.last {
			if b.recent(r) {
				return false
			}
		}
	}
	b.closed = true
	var err error
	for _, l := range b.queue {
		err = errors.Join(err, b.n.meta.DeleteLazy(b.letterKey(l.order)))
	}
	for p := range b.last {
		err = errors.Join(err, b.n.meta.DeleteLazy(b.receiptKey(p)))
	}
	if err != nil {
		b.n.cfg.Log("the mailbox of %s: %v", b.module.Short(), err)
	}
	b.queue, b.bytes = nil, 0
	clear(b.last)
	return true
}
