package node

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"math"
	"math/bits"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// How serving is paid.
const (
	// unpaidLimit is how many bytes a member may read ahead of its cheques. It
	// covers what is under way between two cheques of an honest reader.
	unpaidLimit = 8 << 30
	// cashAfter is how long a holder gathers cheques before it cashes them: one
	// ledger command per pair and burst.
	cashAfter = 2 * time.Second
	// oweAfter is how long a reader gathers bytes before it writes a cheque.
	oweAfter = 50 * time.Millisecond
	// flushTime bounds how long the book works on after the node has stopped.
	flushTime = 500 * time.Millisecond
)

// chequeBook pays holders for bytes served and collects what readers owe this
// node. A cheque is cumulative, so a lost one is made good by the next.
//
// Keys in the store's metadata, written lazily:
//
//	cheq/out/<payee>   the last cheque written, encoded
//	cheq/in/<payer>    the best cheque received, encoded
//	cheq/paid/<payer>  how much of it was cashed: 8 bytes, big-endian
//
// Invariants:
//   - A payer's best cheque grows in both its sums.
//   - An uncashed rest is in dirty, over restarts too, until the ledger pays or
//     refuses it for good; while dirty is not empty the timer is armed.
//   - What a reader may still read follows from the value of its cheques at this
//     node's price, never from the bytes that they claim.
type chequeBook struct {
	n         *Node
	cashAfter time.Duration
	unpaid    uint64 // unpaidLimit

	mu sync.Mutex
	// guarded by mu
	out     map[api.NodeID]*drawer
	in      map[api.NodeID]*reader
	dirty   map[api.NodeID]bool   // cheques in that were not cashed yet
	owed    map[api.NodeID]uint64 // bytes that arrived and that no cheque pays for yet
	timer   *time.Timer           // cashes
	oweTime *time.Timer           // writes cheques
	closed  bool
}

// drawer is what this node has promised a payee.
type drawer struct {
	last api.Cheque
	// What was added since the start, or since the payee showed a better cheque
	// than last: a crash may have taken the record of it.
	added  api.Credits
	gained uint64
}

// reader is what a payer has promised and used.
type reader struct {
	best     api.Cheque
	paid     api.Credits // cashed, as Cumulative
	served   uint64      // bytes sent since the start
	covered  uint64      // bytes since the start that its cheques pay for
	cashed   uint64      // the part of covered whose cheques were cashed
	unfunded bool        // the last cheque was not covered: uncashed ones do not count
}

func newChequeBook(n *Node) *chequeBook {
	c := &chequeBook{
		n: n, cashAfter: cashAfter, unpaid: unpaidLimit,
		out: map[api.NodeID]*drawer{}, in: map[api.NodeID]*reader{},
		dirty: map[api.NodeID]bool{}, owed: map[api.NodeID]uint64{},
	}
	c.timer = time.AfterFunc(time.Hour, func() { n.spawn(func() { c.cash(n.ctx) }) })
	c.oweTime = time.AfterFunc(time.Hour, func() { n.spawn(func() { c.settle(n.ctx) }) })
	c.timer.Stop()
	c.oweTime.Stop()
	load := func(prefix string, into func(who api.NodeID, value []byte)) {
		_ = n.meta.Iterate(prefix, func(key string, value []byte) bool {
			if len(key) == len(prefix)+len(api.NodeID{}) {
				into(api.NodeID([]byte(key[len(prefix):])), value)
			}
			return true
		})
	}
	load("cheq/out/", func(payee api.NodeID, value []byte) {
		if q, err := wire.DecodeCheque(value); err == nil {
			c.out[payee] = &drawer{last: q}
		}
	})
	load("cheq/in/", func(payer api.NodeID, value []byte) {
		if q, err := wire.DecodeCheque(value); err == nil {
			c.in[payer] = &reader{best: q}
		}
	})
	load("cheq/paid/", func(payer api.NodeID, value []byte) {
		if r := c.in[payer]; r != nil && len(value) == 8 {
			r.paid = api.Credits(binary.BigEndian.Uint64(value))
		}
	})
	for payer, r := range c.in {
		if r.best.Cumulative > r.paid {
			c.dirty[payer] = true
		}
	}
	return c
}

// start cashes what a former run left.
func (c *chequeBook) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.dirty) > 0 && !c.closed {
		c.timer.Reset(c.cashAfter)
	}
}

// owe notes bytes that other members sent.
func (c *chequeBook) owe(from map[api.NodeID]uint64) {
	for payee, bytes := range from {
		c.arrived(payee, bytes)
	}
}

// arrived notes bytes that a member sent. A cheque for them follows shortly. It
// is cheap: call it for every arrival, wanted or not, since the holder counts
// what it sends.
func (c *chequeBook) arrived(payee api.NodeID, bytes uint64) {
	if payee == c.n.id.ID() || bytes == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.owed) == 0 {
		c.oweTime.Reset(oweAfter)
	}
	c.owed[payee] += bytes
}

// settle writes and sends the cheques for what arrived.
func (c *chequeBook) settle(ctx context.Context) {
	c.mu.Lock()
	owed := c.owed
	c.owed = map[api.NodeID]uint64{}
	c.mu.Unlock()
	var sent sync.WaitGroup
	for payee, bytes := range owed {
		amount, err := c.n.price(payee).Serve(bytes)
		var q api.Cheque
		if err == nil {
			q, err = c.write(payee, bytes, amount)
		}
		if err != nil {
			c.n.cfg.Log("cheque to %s: %v", payee.Short(), err)
			continue
		}
		sent.Go(func() { c.send(ctx, payee, q) })
	}
	sent.Wait()
}

// write adds to what a payee was promised.
func (c *chequeBook) write(payee api.NodeID, bytes uint64, amount api.Credits) (api.Cheque, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.out[payee]
	if d == nil {
		d = &drawer{}
		c.out[payee] = d
	}
	q, err := c.sign(payee, d.last, bytes, amount)
	if err != nil {
		return q, err
	}
	d.last = q
	d.added += amount // within Cumulative, which did not overflow
	d.gained += bytes
	return q, nil
}

// sign makes and saves the cheque that follows last. mu is held.
func (c *chequeBook) sign(payee api.NodeID, last api.Cheque, bytes uint64, amount api.Credits) (api.Cheque, error) {
	q := last
	q.Payer, q.Payee = c.n.id.ID(), payee
	var err error
	if q.Cumulative, err = q.Cumulative.Add(amount); err != nil {
		return q, err
	}
	q.Bytes += bytes
	q.Sig = [64]byte(ed25519.Sign(c.n.id.PrivateKey(), wire.ChequeSigning(q)))
	b, err := wire.EncodeCheque(q)
	if err != nil {
		return q, err
	}
	return q, c.n.meta.SetLazy("cheq/out/"+string(payee[:]), b)
}

// send hands a cheque over. The payee answers with the best one it has: when
// that is better, this node has lost the record of it and goes on from there.
func (c *chequeBook) send(ctx context.Context, payee api.NodeID, q api.Cheque) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for range 2 {
		b, err := wire.EncodeCheque(q)
		if err == nil {
			b, err = c.n.net.Call(ctx, payee, methodCheque, b)
		}
		if err != nil {
			if c.n.ctx.Err() == nil {
				c.n.cfg.Log("cheque to %s: %v", payee.Short(), err)
			}
			return
		}
		best, err := wire.DecodeCheque(b)
		if err != nil || !c.adopt(payee, best, &q) {
			return
		}
	}
}

// adopt takes over a better cheque that this node once wrote, with what was added
// since on top, and reports whether it did. next is the cheque to send then.
func (c *chequeBook) adopt(payee api.NodeID, best api.Cheque, next *api.Cheque) bool {
	self := c.n.id.ID()
	if best.Payer != self || best.Payee != payee || !ed25519.Verify(self[:], wire.ChequeSigning(best), best.Sig[:]) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.out[payee]
	if d == nil || best.Cumulative <= d.last.Cumulative && best.Bytes <= d.last.Bytes {
		return false
	}
	q, err := c.sign(payee, best, d.gained, d.added)
	if err != nil {
		return false
	}
	c.n.cfg.Log("%s holds a cheque of this node that was lost here: going on from %s credits", payee.Short(), best.Cumulative)
	d.last, d.added, d.gained = q, 0, 0
	*next = q
	return true
}

// handleCheque takes a reader's cheque and answers with the best one held.
func (n *Node) handleCheque(_ context.Context, from api.NodeID, req []byte) ([]byte, error) {
	const op = "node.cheque"
	q, err := wire.DecodeCheque(req)
	if err != nil {
		return nil, err
	}
	if q.Payer != from || q.Payee != n.id.ID() {
		return nil, api.Errorf(op, api.Invalid, "the cheque names others")
	}
	if !ed25519.Verify(from[:], wire.ChequeSigning(q), q.Sig[:]) {
		return nil, api.Errorf(op, api.Unverified, "the cheque's signature does not verify")
	}
	best, err := n.cheques.take(q)
	if err != nil {
		return nil, err
	}
	return wire.EncodeCheque(best)
}

// take keeps a verified cheque if it is better than the one held, and returns
// the better one.
func (c *chequeBook) take(q api.Cheque) (api.Cheque, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.reader(q.Payer)
	old := r.best
	if q.Cumulative <= old.Cumulative {
		return old, nil // an older cheque, or a repeated one
	}
	if q.Bytes < old.Bytes {
		return old, api.Errorf("node.cheque", api.Invalid, "the cheque pays more for fewer bytes than the last one")
	}
	b, err := wire.EncodeCheque(q)
	if err != nil {
		return old, err
	}
	if err := c.n.meta.SetLazy("cheq/in/"+string(q.Payer[:]), b); err != nil {
		return old, err
	}
	r.best = q
	r.covered += min(q.Bytes-old.Bytes, worth(q.Cumulative-old.Cumulative, c.n.cfg.Prices.ServeGiB))
	if len(c.dirty) == 0 && !c.closed {
		c.timer.Reset(c.cashAfter)
	}
	c.dirty[q.Payer] = true
	return q, nil
}

// reader returns a payer's row. mu is held.
func (c *chequeBook) reader(payer api.NodeID) *reader {
	r := c.in[payer]
	if r == nil {
		r = &reader{}
		c.in[payer] = r
	}
	return r
}

// worth is how many bytes an amount pays for, at a price per GiB.
func worth(amount, price api.Credits) uint64 {
	if price <= 0 {
		return math.MaxUint64
	}
	hi, lo := bits.Mul64(uint64(amount), api.GiB)
	if hi >= uint64(price) {
		return math.MaxUint64
	}
	n, _ := bits.Div64(hi, lo, uint64(price))
	return n
}

// served counts bytes sent to a reader.
func (c *chequeBook) served(to api.NodeID, bytes uint64) {
	c.n.metrics.servedBytes.Add(bytes)
	c.mu.Lock()
	c.reader(to).served += bytes
	c.mu.Unlock()
}

// mayRead returns Denied for a reader that is too far ahead of its cheques.
func (c *chequeBook) mayRead(from api.NodeID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.in[from]
	if r == nil || c.n.cfg.Prices.ServeGiB == 0 {
		return nil
	}
	covered := r.covered
	if r.unfunded {
		covered = r.cashed
	}
	if r.served > covered && r.served-covered > c.unpaid {
		return api.Errorf("node.serve", api.Denied, "more than 8 GiB were read and not paid; send a cheque that your account covers")
	}
	return nil
}

// cash redeems every cheque that gained value since it was last redeemed.
func (c *chequeBook) cash(ctx context.Context) {
	type item struct {
		q       api.Cheque
		covered uint64
	}
	c.mu.Lock()
	var todo []item
	for payer := range c.dirty {
		todo = append(todo, item{c.in[payer].best, c.in[payer].covered})
	}
	clear(c.dirty)
	c.mu.Unlock()
	for _, it := range todo {
		cctx, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := c.n.books.Submit(cctx, c.n.pay(api.RandomID(), api.CashCheque{Cheque: it.q}))
		cancel()
		c.cashed(it.q, it.covered, err)
	}
}

// cashed notes the ledger's answer to a cheque.
func (c *chequeBook) cashed(q api.Cheque, covered uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.reader(q.Payer)
	if err == nil {
		r.paid, r.cashed, r.unfunded = q.Cumulative, covered, false
		if err = c.n.meta.SetLazy("cheq/paid/"+string(q.Payer[:]), binary.BigEndian.AppendUint64(nil, uint64(q.Cumulative))); err != nil {
			c.n.cfg.Log("cheque of %s: %v", q.Payer.Short(), err)
		}
		return
	}
	switch api.KindOf(err) {
	case api.Exists: // redeemed before, by a command whose answer or record was lost
		r.paid, r.cashed, r.unfunded = max(r.paid, q.Cumulative), max(r.cashed, covered), false
		_ = c.n.meta.SetLazy("cheq/paid/"+string(q.Payer[:]), binary.BigEndian.AppendUint64(nil, uint64(r.paid)))
		return
	case api.Invalid, api.Unverified, api.Denied:
		c.n.metrics.paymentsRefused.Add(1)
		c.n.cfg.Log("cheque of %s refused: %v", q.Payer.Short(), err)
		return
	case api.Unfunded:
		r.unfunded = true
	}
	c.dirty[q.Payer] = true
	if !c.closed {
		c.timer.Reset(outboxRetry)
	}
}

// flush writes what is owed and cashes what is left before the node stops, for
// at most flushTime. What it does not get done is done after the next start.
func (c *chequeBook) flush() {
	c.mu.Lock()
	c.closed = true
	c.timer.Stop()
	some := len(c.dirty)+len(c.owed) > 0
	c.mu.Unlock()
	if !some || c.n.books == nil || c.n.net == nil {
		return
	}
	ctx, cancel := context.WithTimeout(c.n.ctx, flushTime)
	defer cancel()
	c.settle(ctx)
	c.cash(ctx)
}
