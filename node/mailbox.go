package node

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/wire"
)

// mailbox holds the messages for one module until its inbox takes them, one at a
// time, and those of one node in order. A node that the supervisor lets wait holds
// up nobody else's letters.
//
// Keys in the store's metadata:
//
//	msg/<module><order>             a letter in JSON; order rises, big-endian
//	mrc/<module><node><module>      the last receipt given to a sender, in JSON
//
// Invariants:
//   - A receipt is given when the letter is durable.
//   - A letter is deleted before its module sees it, and the receipt is in the log
//     before that: after a crash a message is delivered later or lost, never twice.
//   - queue has at most maxLetters of maxLetterBytes in all, of another node at
//     most a quarter of both; last at most maxPeers senders, of one node at most
//     maxPeersOf. A sender is forgotten only after forgetAfter.
type mailbox struct {
	n      *Node
	module api.Hash

	mu      sync.Mutex
	desc    *module.Description          // guarded by mu; nil until a message came since the start
	link    api.Link                     // guarded by mu; of the module's file
	queue   []letter                     // guarded by mu; the first is next
	bytes   int                          // guarded by mu; of queue
	order   uint64                       // guarded by mu; of the last letter
	last    map[peer]wire.MessageReceipt // guarded by mu
	waits   map[api.NodeID]time.Time     // guarded by mu; nodes with letters that are not tried before
	pumping bool                         // guarded by mu
	closed  bool                         // guarded by mu; it takes nothing and delivers nothing any more
}

// Bounds of one mailbox.
const (
	maxLetters     = 256
	maxLetterBytes = 4 << 20
	maxPeers       = 4096
	maxPeersOf     = 128 // senders of one node

	// forgetAfter is longer than any sender repeats a message: at most as long as
	// a call may run.
	forgetAfter = time.Hour
	redeliver   = time.Second // between two tries to hand a letter over
)

const (
	letterPrefix  = "msg/"
	receiptPrefix = "mrc/"
)

// letter is a message in a mailbox.
type letter struct {
	From    api.NodeID          `json:"from"`
	Message wire.ModuleMessage  `json:"message"`
	Receipt wire.MessageReceipt `json:"receipt"`
	order   uint64
}

// peer is a module of a node that sent messages.
type peer struct {
	node   api.NodeID
	module api.Hash
}

func newMailbox(n *Node, hash api.Hash) *mailbox {
	return &mailbox{n: n, module: hash, last: map[peer]wire.MessageReceipt{}, waits: map[api.NodeID]time.Time{}}
}

func (b *mailbox) letterKey(order uint64) string {
	return letterPrefix + string(b.module[:]) + string(binary.BigEndian.AppendUint64(nil, order))
}

func (b *mailbox) receiptKey(p peer) string {
	return receiptPrefix + string(b.module[:]) + string(p.node[:]) + string(p.module[:])
}

// load reads the mailboxes that an earlier process left.
func (m *messages) load() error {
	box := func(key string) *mailbox {
		h := api.Hash([]byte(key[4:36]))
		if m.boxes[h] == nil {
			m.boxes[h] = newMailbox(m.n, h)
		}
		return m.boxes[h]
	}
	err := m.n.meta.Iterate(receiptPrefix, func(key string, value []byte) bool {
		var r wire.MessageReceipt
		if len(key) == len(receiptPrefix)+96 && json.Unmarshal(value, &r) == nil {
			box(key).last[peer{r.FromNode, r.FromModule}] = r
		}
		return true
	})
	if err != nil {
		return err
	}
	return m.n.meta.Iterate(letterPrefix, func(key string, value []byte) bool {
		var l letter
		if len(key) != len(letterPrefix)+40 || json.Unmarshal(value, &l) != nil {
			return true
		}
		b := box(key)
		l.order = binary.BigEndian.Uint64([]byte(key[len(key)-8:]))
		b.queue, b.bytes, b.order = append(b.queue, l), b.bytes+len(l.Message.Data), l.order
		if p := (peer{l.From, l.Message.From}); b.last[p].Sequence < l.Receipt.Sequence {
			b.last[p] = l.Receipt
		}
		return true
	})
}

// know tells the mailbox what its module is.
func (b *mailbox) know(d *module.Description, link api.Link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.desc, b.link = d, link
}

// accept makes a message durable and signs for it, or says what was accepted
// before. It keeps nothing of msg.Data, which may be a guest's memory.
func (b *mailbox) accept(from api.NodeID, msg wire.ModuleMessage) (wire.MessageReply, error) {
	const op = "node.message"
	b.mu.Lock()
	defer b.mu.Unlock()
	p := peer{from, msg.From}
	digest := api.Hash(blake3.Sum256(msg.Data))
	last, known := b.last[p]
	switch {
	case b.closed:
		return wire.MessageReply{}, api.Errorf(op, api.NotFound, "the module was removed from this node")
	case msg.Sequence == 0 || msg.Sequence > maxSequence:
		return wire.MessageReply{}, api.Errorf(op, api.Invalid, "a message's sequence is above 0 and at most 2^53")
	case known && msg.Sequence == last.Sequence && digest == last.Digest:
		return wire.MessageReply{Receipt: &last}, nil
	case known && msg.Sequence <= last.Sequence:
		return wire.MessageReply{Behind: last.Sequence}, nil
	}
	if err := b.room(p, len(msg.Data)); err != nil {
		return wire.MessageReply{}, err
	}
	msg.Data = bytes.Clone(msg.Data)
	l := letter{From: from, Message: msg, order: b.order + 1}
	l.Receipt = b.n.signReceipt(wire.MessageReceipt{
		FromNode: from, FromModule: msg.From, ToNode: b.n.id.ID(), ToModule: b.module,
		Sequence: msg.Sequence, Digest: digest, AcceptedMS: time.Now().UnixMilli(),
	})
	if err := b.write(p, l); err != nil {
		return wire.MessageReply{}, err
	}
	b.order, b.last[p] = l.order, l.Receipt
	b.queue, b.bytes = append(b.queue, l), b.bytes+len(msg.Data)
	b.pump()
	return wire.MessageReply{Receipt: &l.Receipt}, nil
}

// write makes a letter and its receipt durable. mu is held.
func (b *mailbox) write(p peer, l letter) error {
	value, err := json.Marshal(l)
	if err != nil {
		return api.E("node.message", api.Other, err)
	}
	receipt, err := json.Marshal(l.Receipt)
	if err != nil {
		return api.E("node.message", api.Other, err)
	}
	if err := b.n.meta.Set(b.letterKey(l.order), value); err != nil {
		return err
	}
	// Durable with the deletion of the letter, if not before.
	return b.n.meta.SetLazy(b.receiptKey(p), receipt)
}

func (n *Node) signReceipt(r wire.MessageReceipt) wire.MessageReceipt {
	r.Sig = [64]byte(ed25519.Sign(n.id.PrivateKey(), wire.ReceiptSigning(r)))
	return r
}

// pump starts delivering, unless that is going on. mu is held.
func (b *mailbox) pump() {
	if b.pumping || len(b.queue) == 0 || !b.n.serving.Load() {
		return
	}
	b.pumping = b.n.spawn(b.deliver)
}

// deliver hands the letters to the module until none is left or the node stops.
func (b *mailbox) deliver() {
	for {
		b.mu.Lock()
		if len(b.queue) == 0 || b.n.work.Err() != nil {
			b.pumping = false
			clear(b.waits)
			b.mu.Unlock()
			return
		}
		l, wait := b.next(time.Now())
		b.mu.Unlock()
		if wait <= 0 {
			b.deliverOne(l)
			continue
		}
		select {
		case <-time.After(wait):
		case <-b.n.work.Done():
		}
	}
}

// next is the first letter of a node that does not wait, or how long all of them
// do. mu is held, and queue is not empty.
func (b *mailbox) next(now time.Time) (letter, time.Duration) {
	least := redeliver
	for _, l := range b.queue {
		wait := b.waits[l.From].Sub(now)
		if wait <= 0 {
			delete(b.waits, l.From)
			return l, 0
		}
		least = min(least, wait)
	}
	return letter{}, least
}

// deliverOne runs the inbox on one letter. A letter that could not be handed over
// because the worker's queue is full, or the module's file is not at hand, waits
// and is tried again; what the module does with it is final.
func (b *mailbox) deliverOne(l letter) {
	n, m := b.n, b.n.syscalls.messages
	d, link, err := b.known()
	taken := false
	if err == nil {
		err = m.run(n.work, d, link, l.From, l.Message, func() error {
			taken = true
			return b.take(l)
		})
	}
	switch {
	case err == nil:
		n.metrics.messagesDone.Add(1)
		return
	case n.work.Err() != nil && !taken:
		return
	case !taken && worthWaiting(err):
		b.mu.Lock()
		b.waits[l.From] = time.Now().Add(redeliver)
		b.mu.Unlock()
		return
	case !taken:
		if err := b.take(l); err != nil {
			n.cfg.Log("message for %s: %v", b.module.Short(), err)
		}
	}
	n.metrics.messagesFailed.Add(1)
	n.emit("module:message:v1:failed", b.module.String(), map[string]string{"from": l.From.String(), "error": failureKind(err).String(), "message": messageOf(err)})
}

// worthWaiting reports whether a letter may be handed over later.
func worthWaiting(err error) bool {
	switch api.KindOf(err) {
	case api.Exhausted, api.Unavailable, api.Timeout, api.NotFound:
		return true
	}
	return false
}

// known returns the module, found by its hash after a restart.
func (b *mailbox) known() (*module.Description, api.Link, error) {
	b.mu.Lock()
	d, link := b.desc, b.link
	b.mu.Unlock()
	if d != nil {
		return d, link, nil
	}
	d, link, err := b.n.modules.find(b.n.work, b.module.String())
	if err == nil {
		b.know(d, link)
	}
	return d, link, err
}

// take removes a letter, durably.
func (b *mailbox) take(l letter) error {
	b.mu.Lock()
	at := slices.IndexFunc(b.queue, func(q letter) bool { return q.order == l.order })
	b.mu.Unlock()
	if at < 0 {
		return api.Errorf("node.message", api.NotFound, "the module was removed with the messages for it")
	}
	if err := b.n.meta.Delete(b.letterKey(l.order)); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	// Only deliver takes letters, so it is where it was.
	b.queue, b.bytes = slices.Delete(b.queue, at, at+1), b.bytes-len(l.Message.Data)
	if len(b.queue) == 0 {
		b.queue = nil
	}
	return nil
}
