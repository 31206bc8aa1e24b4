package node

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Bounds and times of claims.
const (
	maxClaims  = 1 << 16         // results whose payers have not settled yet
	claimEvery = 5 * time.Second // between looks at what payers settled, at first
	claimRest  = time.Minute     // and at most
	claimAfter = 5 * time.Second // after an escrow's expiry, before this node settles it itself
	maxSigned  = 1 << 18         // escrows for which a result was signed and that have not expired
)

// claims are the results that this worker is to be paid for. Payers settle them
// at once; what a payer leaves open the worker settles with its own proof when
// the escrow has expired.
//
// Invariants:
//   - open holds every escrow this node earned and has not seen closed; each has
//     a row claim/<escrow id> in the metadata, written lazily: a crash loses at
//     most the claims of its last moments, and a job costs no sync.
//   - signed holds (job, seq) of every escrow that this node signed a result for
//     until the escrow expires. Only one result per escrow is ever signed with
//     its number, so that a payer cannot have a job done and then close its
//     escrow with the refusal of a repetition.
//   - The timer is armed only while open is not empty.
type claims struct {
	n                  *Node
	every, rest, after time.Duration

	mu     sync.Mutex
	open   map[api.ID]claim   // guarded by mu
	signed map[escrowOf]int64 // guarded by mu; when the escrow expires, Unix milliseconds
	prune  int                // guarded by mu; len(signed) at which expired ones are removed
	timer  *time.Timer        // guarded by mu; nil before start
	wait   time.Duration      // guarded by mu; until the next look
	cursor uint64             // guarded by mu; ledger entries below it were looked at
}

// escrowOf names an escrow as a result does.
type escrowOf struct {
	job api.ID
	seq uint64
}

// claim is a proof at rest.
type claim struct {
	Expires int64        `json:"expires"` // the escrow's, Unix milliseconds
	Proof   api.JobProof `json:"proof"`
	Kind    api.Kind     `json:"kind"`
	Sig     []byte       `json:"sig"`
}

func openClaims(n *Node) *claims {
	c := &claims{
		n: n, every: claimEvery, rest: claimRest, after: claimAfter, prune: 1024,
		open: map[api.ID]claim{}, signed: map[escrowOf]int64{},
	}
	_ = n.meta.Iterate("claim/", func(key string, value []byte) bool {
		var v claim
		if len(key) != len("claim/")+16 || json.Unmarshal(value, &v) != nil || len(v.Sig) != 64 {
			return true
		}
		v.Proof.Kind, v.Proof.Sig = v.Kind, [64]byte(v.Sig)
		c.open[api.ID([]byte(key[len("claim/"):]))] = v
		c.signed[escrowOf{v.Proof.Job, v.Proof.Escrow}] = v.Expires
		return len(c.open) < maxClaims
	})
	return c
}

// start takes up the claims of a former run.
func (c *claims) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = time.AfterFunc(time.Hour, func() { c.n.spawn(c.look) })
	c.timer.Stop()
	if len(c.open) > 0 {
		c.arm(0)
	}
}

// arm sets the next look. mu is held.
func (c *claims) arm(wait time.Duration) {
	c.wait = wait
	if c.timer != nil {
		c.timer.Reset(wait)
	}
}

// reserve takes the right to sign the one result of an escrow. It returns Exists
// when that was done, and Unavailable when the tables are full.
func (c *claims) reserve(k escrowOf, expires int64) error {
	const op = "node.work"
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, dup := c.signed[k]; dup {
		return api.Errorf(op, api.Exists, "this escrow has paid for a job already; open one for each attempt")
	}
	if len(c.signed) >= c.prune {
		now := time.Now().UnixMilli()
		for k, expires := range c.signed {
			if expires < now {
				delete(c.signed, k)
			}
		}
		c.prune = min(max(1024, 2*len(c.signed)), maxSigned)
	}
	if len(c.signed) >= maxSigned || len(c.open) >= maxClaims {
		return api.Errorf(op, api.Unavailable, "too many results wait for their payers here; try another node")
	}
	c.signed[k] = expires
	return nil
}

// release gives the right back: no result was signed with the escrow's number.
func (c *claims) release(k escrowOf) {
	c.mu.Lock()
	delete(c.signed, k)
	c.mu.Unlock()
}

// note keeps a sealed result that the escrow owes this node for.
func (c *claims) note(e api.Escrow, r api.JobResult) {
	if e.Payment(r.Kind, r.Gas) == 0 {
		return
	}
	proof := wire.ProofOf(r)
	v := claim{Expires: e.Expires, Proof: proof, Kind: proof.Kind, Sig: proof.Sig[:]}
	b, err := json.Marshal(v)
	if err == nil {
		err = c.n.meta.SetLazy("claim/"+string(e.ID[:]), b)
	}
	if err != nil {
		c.n.cfg.Log("claim for job %s: %v", r.ID.Short(), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) == 0 {
		c.cursor = max(c.cursor, r.Escrow) // an escrow is closed after it was opened
		c.arm(c.every)
	}
	c.open[e.ID] = v
}

// drop forgets claims whose escrows are closed.
func (c *claims) drop(ids []api.ID) {
	c.mu.Lock()
	for _, id := range ids {
		if _, ok := c.open[id]; ok {
			delete(c.open, id)
			_ = c.n.meta.DeleteLazy("claim/" + string(id[:]))
		}
	}
	c.mu.Unlock()
}

// look forgets what payers settled, settles what is due, and arms the next look
// while claims are left.
func (c *claims) look() {
	before := c.count()
	err := c.sweep()
	if err == nil {
		err = c.settle(time.Now())
	}
	if err != nil && c.n.ctx.Err() == nil {
		c.n.cfg.Log("claims for work: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) == 0 || c.n.ctx.Err() != nil {
		return
	}
	wait := c.every
	if len(c.open) >= before {
		wait = min(max(2*c.wait, c.every), c.rest)
	}
	c.arm(wait)
}

func (c *claims) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// sweep reads what was paid to this node since the last look.
func (c *claims) sweep() error {
	self, cause := api.Account{Kind: api.NodeAccount, Node: c.n.id.ID()}, api.CauseSettle
	c.mu.Lock()
	from := c.cursor
	if from == 0 { // the first look since the start
		for _, v := range c.open {
			if from == 0 || v.Proof.Escrow < from {
				from = v.Proof.Escrow
			}
		}
	}
	c.mu.Unlock()
	for {
		q := api.EntryQuery{Account: &self, Cause: &cause, From: max(from, 1), Limit: api.MaxEntryPage}
		page, err := c.ask(q)
		if err != nil {
			return err
		}
		var closed []api.ID
		for _, e := range page.Entries {
			closed = append(closed, e.From.ID)
			from = e.Seq + 1
		}
		from = max(from, page.Next)
		c.drop(closed)
		if page.Next == 0 {
			break
		}
	}
	c.mu.Lock()
	c.cursor = max(c.cursor, from)
	c.mu.Unlock()
	return nil
}

func (c *claims) ask(q api.EntryQuery) (api.EntryPage, error) {
	ctx, cancel := context.WithTimeout(c.n.ctx, callTimeout)
	defer cancel()
	return c.n.books.Entries(ctx, q)
}

// settle submits the proofs whose escrows have expired.
func (c *claims) settle(now time.Time) error {
	var due []api.Settlement
	c.mu.Lock()
	for id, v := range c.open {
		if v.Expires+c.after.Milliseconds() <= now.UnixMilli() {
			due = append(due, api.Settlement{Escrow: id, Proof: v.Proof})
		}
	}
	c.mu.Unlock()
	for part := range slices.Chunk(due, api.MaxCommandItems) {
		if err := bisect(part, c.submit); err != nil {
			return err
		}
	}
	return nil
}

// submit settles escrows in one command and forgets those that are closed then.
func (c *claims) submit(part []api.Settlement) error {
	ctx, cancel := context.WithTimeout(c.n.ctx, callTimeout)
	defer cancel()
	_, err := c.n.books.Submit(ctx, c.n.pay(api.RandomID(), api.EscrowSettle{Settlements: part}))
	kind := api.KindOf(err)
	if err != nil && (len(part) > 1 || kind != api.NotFound && kind != api.Invalid) {
		return err
	}
	ids := make([]api.ID, len(part))
	for i := range part {
		ids[i] = part[i].Escrow
	}
	c.drop(ids)
	return nil
}

// close stops the looks; what is open stays in the metadata.
func (c *claims) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
