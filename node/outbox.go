package node

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"inos/kernel/api"
)

// Outbox bounds and times.
const (
	maxOutbox    = 10_000                // payments waiting for the seed
	outboxPage   = 256                   // payments sent between two reads of the metadata
	outboxRetry  = 15 * time.Second      // between attempts while the seed is away
	outboxGather = 20 * time.Millisecond // a payment waits for others, which share its sync, and for its object
	clockSkew    = time.Minute           // the ledger's clock may differ from this node's
)

// outbox holds payments that this node owes until the ledger has taken them. It
// survives restarts, and a payment counts once:
//
//   - A payment is in the metadata under out/<id> before its object is recorded,
//     so the object's sync makes both durable.
//   - The time of the first attempt is durable before that attempt. The ledger
//     remembers an id for api.MaxCommandLife; a payment that may be older than
//     that is first looked for in the ledger's history.
//   - An object is looked for, paid and recorded under its lock (lockObject).
type outbox struct {
	n      *Node
	kick   chan struct{} // capacity 1: something to send
	gather time.Duration
	life   time.Duration // how long the ledger remembers a command

	mu   sync.Mutex
	size int // guarded by mu
}

// outItem is a payment at rest. The signature is made when it is sent, since a
// signed command expires.
type outItem struct {
	Storage *api.StoragePay `json:"storage,omitempty"`
	Sent    int64           `json:"sent,omitempty"` // Unix milliseconds of the first attempt since the ledger was known not to have it
}

// outEntry is a payment under its key.
type outEntry struct {
	key  string
	item outItem
}

func newOutbox(n *Node) *outbox {
	o := &outbox{n: n, kick: make(chan struct{}, 1), gather: outboxGather, life: api.MaxCommandLife * time.Millisecond}
	_ = n.meta.Iterate("out/", func(string, []byte) bool { o.size++; return true })
	return o
}

// start sends what is left from before, and begins the other periodic work of
// the economy.
func (o *outbox) start() {
	o.n.spawn(o.run)
	if o.size > 0 {
		o.wake()
	}
	o.n.startEconomy()
}

// add keeps a payment and sends it in the background. It is durable with the
// next synced write of the store, which recording its object is.
func (o *outbox) add(op api.StoragePay) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size >= maxOutbox {
		return api.Errorf("node.pay", api.Exhausted, "10000 payments wait for the seed of the mesh; start it and retry")
	}
	b, err := json.Marshal(outItem{Storage: &op})
	if err != nil {
		return api.E("node.pay", api.Other, err)
	}
	id := api.RandomID()
	if err := o.n.meta.SetLazy("out/"+string(id[:]), b); err != nil {
		return err
	}
	o.size++
	o.wake()
	return nil
}

func (o *outbox) wake() {
	select {
	case o.kick <- struct{}{}:
	default:
	}
}

func (o *outbox) run() {
	var again <-chan time.Time
	for {
		select {
		case <-o.kick:
			select {
			case <-time.After(o.gather):
			case <-o.n.ctx.Done():
				return
			}
		case <-again:
		case <-o.n.ctx.Done():
			return
		}
		again = nil
		if !o.sendAll() {
			again = time.After(outboxRetry)
		}
	}
}

// sendAll reports whether nothing is left that a later attempt could send.
func (o *outbox) sendAll() bool {
	done := true
	for from := "out/"; from != ""; {
		var entries []outEntry
		entries, from = o.page(from)
		if !o.stamp(entries) {
			return false
		}
		for _, e := range entries {
			err := o.send(e)
			if unreachable(err) {
				return false
			}
			done = done && err == nil
		}
	}
	return done
}

// page reads payments from a key on and returns the key to continue with, empty
// at the end. A row that nobody can read is dropped.
func (o *outbox) page(from string) (entries []outEntry, next string) {
	var broken []string
	_ = o.n.meta.IterateFrom("out/", from, func(key string, value []byte) bool {
		if len(entries)+len(broken) == outboxPage {
			next = key
			return false
		}
		var it outItem
		if json.Unmarshal(value, &it) == nil && it.Storage != nil && len(key) == len("out/")+len(api.ID{}) {
			entries = append(entries, outEntry{key, it})
		} else {
			broken = append(broken, key)
		}
		return true
	})
	for _, key := range broken {
		o.n.cfg.Log("a damaged record of a payment was dropped")
		_ = o.drop(key)
	}
	return entries, next
}

// stamp makes the time of the first attempt durable, with one sync for all.
func (o *outbox) stamp(entries []outEntry) bool {
	batch, fresh := o.n.meta.m.Batch(), false
	for i := range entries {
		if entries[i].item.Sent != 0 {
			continue
		}
		entries[i].item.Sent, fresh = time.Now().UnixMilli(), true
		b, err := json.Marshal(entries[i].item)
		if err != nil {
			return false
		}
		batch.Set([]byte(entries[i].key), b)
	}
	if !fresh {
		return true
	}
	if err := batch.Commit(); err != nil {
		o.n.cfg.Log("payments for storage: %v", err)
		return false
	}
	return true
}

// unreachable reports whether err says nothing about the command: the ledger
// did not answer.
func unreachable(err error) bool {
	switch api.KindOf(err) {
	case api.Unavailable, api.Timeout, api.Canceled, api.Closed:
		return true
	}
	return false
}

// send submits one payment and forgets it when the ledger has answered for
// good. An error means that it is to be tried again.
func (o *outbox) send(e outEntry) error {
	ctx, cancel := context.WithTimeout(o.n.ctx, callTimeout)
	defer cancel()
	if time.Since(time.UnixMilli(e.item.Sent)) > o.life {
		paid, err := o.paid(ctx, e.item)
		if err != nil {
			return err
		}
		if paid {
			return o.drop(e.key)
		}
		e.item.Sent = 0
		if again := []outEntry{e}; o.stamp(again) {
			e = again[0]
		} else {
			return api.Errorf("node.pay", api.Unavailable, "the payment could not be saved")
		}
	}
	id := api.ID([]byte(e.key[len("out/"):]))
	_, err := o.n.books.Submit(ctx, o.n.pay(id, *e.item.Storage))
	switch {
	case err == nil:
	case unreachable(err), api.KindOf(err) == api.Other:
		return err
	case api.KindOf(err) == api.Unfunded, api.KindOf(err) == api.Exhausted, api.KindOf(err) == api.NoSpace:
		o.n.cfg.Log("payment for storage of %s: %v", e.item.Storage.Root.Short(), err)
		return err
	default:
		o.n.metrics.paymentsRefused.Add(1)
		o.n.cfg.Log("payment refused for good: %v", err)
	}
	return o.drop(e.key)
}

// paid looks in the ledger's history for a payment whose answer was lost. A
// command is applied whole, so its first holder stands for all.
func (o *outbox) paid(ctx context.Context, it outItem) (bool, error) {
	self, cause := api.Account{Kind: api.NodeAccount, Node: o.n.id.ID()}, api.CauseStorage
	want := it.Storage.Payments[0]
	since := it.Sent - clockSkew.Milliseconds()
	q := api.EntryQuery{Account: &self, Cause: &cause, Ref: it.Storage.Root.String(), Limit: api.MaxEntryPage}
	for {
		page, err := o.n.books.Entries(ctx, q)
		if err != nil {
			return false, err
		}
		for _, e := range page.Entries {
			if e.Time < since {
				return false, nil // newest first
			}
			if e.From == self && e.To.Node == want.Holder && e.Amount == want.Amount {
				return true, nil
			}
		}
		if page.Next == 0 {
			return false, nil
		}
		q.Before = page.Next
	}
}

// drop forgets a payment. A crash may bring it back: the ledger knows its id, or
// its history has it.
func (o *outbox) drop(key string) error {
	if err := o.n.meta.DeleteLazy(key); err != nil {
		return err
	}
	o.mu.Lock()
	o.size--
	o.mu.Unlock()
	return nil
}
