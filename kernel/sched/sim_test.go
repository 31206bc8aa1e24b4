package sched

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand"
	"testing"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// world simulates the host of a machine: a ledger, workers that crash, and a
// network that loses, delays and repeats, all from one seed.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	m      *Machine
	now    int64
	queue  happenings
	serial int
	calm   bool // no more faults: everything must come to an end

	nodes []*simNode
	book  simBook
	funds api.Credits

	finals  map[api.ID]JobChanged
	done    map[api.ID]int
	settled map[api.ID]int // payments by the payer, per job
	jobs    int
}

type happening struct {
	at     int64
	serial int
	do     func()
}
type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].serial < h[j].serial
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)   { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any     { old := *h; x := old[len(old)-1]; *h = old[:len(old)-1]; return x }

// simNode is a worker; life counts its crashes, so what an earlier life started
// is lost.
type simNode struct {
	id      api.NodeID
	up      bool
	life    int
	slots   int
	price   api.Credits
	running map[api.ID]bool
}

// simBook is the ledger's rules about escrows, in few lines.
type simBook struct {
	balance  api.Credits
	paid     api.Credits
	seq      uint64
	escrows  map[api.ID]api.Escrow
	outcomes map[api.ID]uint64
}

func nodeID(n int) (id api.NodeID) { id[0], id[1] = byte(n+1), byte(n>>8); return id }
func jobID(n int) (id api.ID)      { id[0] = 1; binary.BigEndian.PutUint32(id[4:], uint32(n)); return id }
func batchID(n int) (id api.ID)    { id[0] = 2; binary.BigEndian.PutUint32(id[4:], uint32(n)); return id }

func (w *world) after(ms int64, do func()) {
	w.serial++
	heap.Push(&w.queue, happening{w.now + ms, w.serial, do})
}

func (w *world) chance(percent int) bool { return !w.calm && w.rng.Intn(100) < percent }
func (w *world) delay() int64            { return 1 + w.rng.Int63n(20) }

func (w *world) step(ev Event) {
	for _, e := range append([]Effect(nil), w.m.Step(w.now, ev)...) {
		w.perform(e)
	}
	for id, e := range w.m.escrows {
		if e.ID != id {
			w.t.Fatal("the escrow table is confused")
		}
	}
	for _, n := range w.m.order {
		if len(n.jobs) > n.workers+max(2, n.workers) && n.online {
			w.t.Fatalf("%d jobs on a worker with %d slots", len(n.jobs), n.workers)
		}
	}
}

func (w *world) perform(effect Effect) {
	switch e := effect.(type) {
	case Refused:
		w.t.Fatalf("refused: %v", e.Err)
	case Quote:
		w.after(w.delay(), func() { w.quote(e.Node) })
	case OpenEscrow:
		w.command(e.Command, func() (uint64, api.Kind) { return w.book.open(e.Command, e.Escrows) },
			func(first uint64) Event { return EscrowOpened{e.Command, first} },
			func(k api.Kind) Event { return EscrowFailed{e.Command, k, "sim"} })
	case Settle:
		w.command(e.Command, func() (uint64, api.Kind) { return 0, w.settle(e.Settlements) },
			func(uint64) Event { return Closed{e.Command} }, func(k api.Kind) Event { return CloseFailed{e.Command, k} })
	case Refund:
		w.command(e.Command, func() (uint64, api.Kind) { return 0, w.book.refund(w.now, e.Escrows) },
			func(uint64) Event { return Closed{e.Command} }, func(k api.Kind) Event { return CloseFailed{e.Command, k} })
	case Dispatch:
		w.dispatch(e)
	case Stop:
		w.after(w.delay(), func() { delete(w.node(e.To).running, wire.EscrowID(e.Job, e.Attempt)) })
	case JobChanged:
		if _, ended := w.finals[e.Job]; ended {
			w.t.Fatalf("job %s changed after its end: %+v", e.Job, e)
		}
		if e.State.Final() {
			w.finals[e.Job] = e
		}
	case BatchDone:
		w.done[e.Batch]++
	}
}

// command submits to the book over a network that may lose either way.
func (w *world) command(_ api.ID, apply func() (uint64, api.Kind), ok func(uint64) Event, bad func(api.Kind) Event) {
	lostThere, lostBack := w.chance(10), w.chance(10)
	w.after(w.delay(), func() {
		first, kind := uint64(0), api.Unavailable
		if !lostThere {
			first, kind = apply()
		}
		if lostBack {
			kind = api.Timeout
		}
		w.after(w.delay(), func() {
			if kind == api.Other {
				w.step(ok(first))
				return
			}
			w.step(bad(kind))
		})
	})
}

func (b *simBook) open(cmd api.ID, escrows []api.Escrow) (uint64, api.Kind) {
	if first, repeated := b.outcomes[cmd]; repeated {
		return first, api.Other
	}
	var sum api.Credits
	for _, e := range escrows {
		if _, open := b.escrows[e.ID]; open {
			return 0, api.Exists
		}
		sum += e.Amount
	}
	if sum > b.balance {
		return 0, api.Unfunded
	}
	b.balance -= sum
	b.outcomes[cmd] = b.seq + 1
	for _, e := range escrows {
		b.seq++
		e.Seq = b.seq
		b.escrows[e.ID] = e
	}
	return b.outcomes[cmd], api.Other
}

func (w *world) settle(list []api.Settlement) api.Kind {
	for _, s := range list {
		e, open := w.book.escrows[s.Escrow]
		if !open {
			return api.NotFound
		}
		if s.Proof.Job != e.Job || s.Proof.Worker != e.Worker || s.Proof.Escrow != e.Seq {
			return api.Invalid
		}
	}
	for _, s := range list {
		e := w.book.escrows[s.Escrow]
		if pay := e.Payment(s.Proof.Kind, s.Proof.Gas); pay > 0 {
			w.settled[e.Job]++
		}
		w.book.close(e, s.Proof)
	}
	return api.Other
}

func (b *simBook) close(e api.Escrow, p api.JobProof) {
	pay := e.Payment(p.Kind, p.Gas)
	b.paid += pay
	b.balance += e.Amount - pay
	delete(b.escrows, e.ID)
}

func (b *simBook) refund(now int64, ids []api.ID) api.Kind {
	for _, id := range ids {
		e, open := b.escrows[id]
		if !open {
			return api.NotFound
		}
		if now < e.Expires+api.EscrowGrace {
			return api.Denied
		}
	}
	for _, id := range ids {
		b.balance += b.escrows[id].Amount
		delete(b.escrows, id)
	}
	return api.Other
}

func (w *world) node(id api.NodeID) *simNode {
	for _, n := range w.nodes {
		if n.id == id {
			return n
		}
	}
	w.t.Fatalf("an unknown node %s", id)
	return nil
}

func (w *world) update(n *simNode, quoted bool) WorkerUpdate {
	return WorkerUpdate{
		Node: n.id, Online: n.up, Workers: uint16(n.slots), Queue: uint16(len(n.running)), Price: n.price,
		LatencyMS: 1, Quoted: quoted, ValidTill: w.now + 20_000,
	}
}

func (w *world) quote(id api.NodeID) {
	n := w.node(id)
	if w.chance(10) {
		return // no answer at all
	}
	if !n.up {
		w.step(WorkerLost{id})
		return
	}
	w.step(w.update(n, true))
}

func (w *world) crash(n *simNode) {
	n.up, n.running = false, map[api.ID]bool{}
	n.life++
	w.after(w.rng.Int63n(3000), func() { w.step(WorkerLost{n.id}) })
	w.after(5000+w.rng.Int63n(20_000), func() {
		n.up = true
		w.step(w.update(n, false))
	})
}

// dispatch lets a worker run an attempt: 5 to 100 ms and some fate.
func (w *world) dispatch(d Dispatch) {
	n := w.node(d.To)
	life, key := n.life, wire.EscrowID(d.Spec.ID, d.Attempt)
	if w.chance(4) { // lost: half the time nobody notices
		if w.chance(50) {
			w.after(5000, func() { w.step(Failed{d.Spec.ID, d.Attempt, api.Unavailable, "sim"}) })
		}
		return
	}
	w.after(w.delay(), func() {
		if !n.up || n.life != life {
			w.after(1000, func() { w.step(Failed{d.Spec.ID, d.Attempt, api.Unavailable, "sim"}) })
			return
		}
		r := api.JobResult{ID: d.Spec.ID, Worker: n.id, Escrow: d.Escrow.Seq, Gas: api.Ggas, RunUS: 20_000}
		switch {
		case asked(n, d) > d.Escrow.Price && n.id != w.m.cfg.Self:
			r.Kind, r.Gas = api.Conflict, 0
		case w.chance(8):
			r.Kind, r.Gas = api.Unavailable, 0
		case w.chance(4):
			r.Kind = api.Corrupt
		case d.Spec.ID[7]%16 == 3:
			r.Kind = api.Trapped
		}
		n.running[key] = true
		if w.chance(50) {
			w.step(Accepted{d.Spec.ID, d.Attempt})
		}
		w.after(5+w.rng.Int63n(95), func() { w.result(n, life, key, d, r) })
	})
}

func (w *world) result(n *simNode, life int, key api.ID, d Dispatch, r api.JobResult) {
	if n.life != life {
		return
	}
	if !n.running[key] {
		r.Kind = api.Canceled
	}
	delete(n.running, key)
	if e := d.Escrow; e.Amount > 0 && w.rng.Intn(2) == 0 { // the worker claims what it was not paid
		w.after(max(0, e.Expires-w.now), func() {
			if open, ok := w.book.escrows[e.ID]; ok {
				w.book.close(open, wire.ProofOf(r))
			}
		})
	}
	copies := 1
	if w.chance(10) {
		copies = 2
	}
	if w.chance(5) {
		copies = 0
	}
	for range copies {
		w.after(w.delay(), func() { w.step(Finished{d.Attempt, r}) })
	}
}

func newWorld(t *testing.T, seed int64, nodes int) *world {
	m, err := New(Config{Self: nodeID(0)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, rng: rand.New(rand.NewSource(seed)), m: m, now: 1_000_000, finals: map[api.ID]JobChanged{}, done: map[api.ID]int{}, settled: map[api.ID]int{}}
	w.funds = 500 * api.Credit
	if seed%3 == 1 { // a handful of escrows at a time
		w.funds = api.Credit
	}
	w.book = simBook{balance: w.funds, escrows: map[api.ID]api.Escrow{}, outcomes: map[api.ID]uint64{}}
	w.adopt()
	for i := range nodes {
		n := &simNode{id: nodeID(i), up: true, slots: 1 + i%4, price: api.Credit / 100 * api.Credits(i%5), running: map[api.ID]bool{}}
		w.nodes = append(w.nodes, n)
		w.step(w.update(n, false))
	}
	return w
}

// adopt leaves escrows of a former run in the book: one whose result still
// comes, and one whose does not.
func (w *world) adopt() {
	var old []api.Escrow
	for i := range 2 {
		e := api.Escrow{
			ID: wire.EscrowID(batchID(9000+i), 1), Job: batchID(9000 + i), Payer: w.m.cfg.Self, Worker: nodeID(1),
			Amount: api.Credit / 10, Price: api.Credit / 100, Expires: w.now + 90_000,
		}
		w.book.open(batchID(8000+i), []api.Escrow{e})
		old = append(old, w.book.escrows[e.ID])
	}
	w.step(Adopt{old})
	w.step(Finished{1, api.JobResult{ID: old[0].Job, Worker: old[0].Worker, Escrow: old[0].Seq, Gas: api.Ggas}})
}

func (w *world) batch(n int) {
	id := batchID(len(w.done) + w.jobs)
	jobs := make([]Job, n)
	priority := api.Priority(w.rng.Intn(api.Classes))
	for i := range jobs {
		w.jobs++
		s := api.JobSpec{ID: jobID(w.jobs), Payer: w.m.cfg.Self, Limits: api.Limits{Gas: 4 * api.Ggas, WallMS: 2000}, Priority: priority}
		switch w.rng.Intn(10) {
		case 0:
			s.Node = w.nodes[w.rng.Intn(len(w.nodes))].id
		case 1:
			s.Deadline = w.now + w.rng.Int63n(20_000) + 1
		case 2:
			s.PriceCap = api.Credit / 100 * 4
		}
		jobs[i] = Job{Spec: s, Holders: []api.NodeID{w.nodes[w.rng.Intn(len(w.nodes))].id}, Size: 1 << 20}
	}
	w.done[id] = 0
	w.step(Submit{Batch: id, Jobs: jobs})
	if w.chance(20) {
		w.after(w.rng.Int63n(2000), func() { w.step(Cancel{Batch: id}) })
	}
}

// run lets everything happen until nothing is left to happen.
func (w *world) run(until int64) {
	for steps := 0; ; steps++ {
		at, ticks := w.m.Next()
		if len(w.queue) > 0 && (!ticks || w.queue[0].at <= at) {
			if w.queue[0].at > until {
				return
			}
			h := heap.Pop(&w.queue).(happening)
			w.now = max(w.now, h.at)
			h.do()
		} else if ticks && at <= until {
			w.now = max(w.now, at)
			w.step(Tick{})
		} else {
			return
		}
		if steps > 5_000_000 {
			w.t.Fatal("no end in sight")
		}
	}
}

func simulate(t *testing.T, seed int64) string {
	w := newWorld(t, seed, 2+int(seed%7))
	for range 6 {
		w.batch(1 + w.rng.Intn(120))
		w.run(w.now + w.rng.Int63n(3000))
		if n := w.nodes[w.rng.Intn(len(w.nodes))]; n.up && w.chance(70) {
			w.crash(n)
		}
		w.nodes[w.rng.Intn(len(w.nodes))].price = api.Credit / 100 * api.Credits(w.rng.Intn(5))
	}
	w.run(w.now + 60_000)
	w.calm = true
	w.run(1 << 60)
	w.check()
	return fmt.Sprint(w.now, w.book.balance, w.book.paid, w.serial, len(w.finals))
}

func (w *world) check() {
	if len(w.finals) != w.jobs {
		w.t.Fatalf("%d of %d jobs ended", len(w.finals), w.jobs)
	}
	for id, n := range w.done {
		if n != 1 {
			w.t.Fatalf("batch %s ended %d times", id, n)
		}
	}
	for id, n := range w.settled {
		if n > 1 {
			w.t.Fatalf("job %s was paid %d times by its payer", id, n)
		}
	}
	if len(w.book.escrows) != 0 {
		w.t.Fatalf("%d escrows leaked", len(w.book.escrows))
	}
	if w.book.balance+w.book.paid != w.funds {
		w.t.Fatalf("%v left and %v paid of %v", w.book.balance, w.book.paid, w.funds)
	}
	s := w.m.Stats()
	if s.Jobs+s.Placed+s.Batches+s.Escrows != 0 || len(w.m.timers)+len(w.m.commands)+w.m.active+len(w.m.rings[0].list)+len(w.m.rings[1].list)+len(w.m.rings[2].list) != 0 {
		w.t.Fatalf("something is left: %+v, %d timers, %d commands, %d active", s, len(w.m.timers), len(w.m.commands), w.m.active)
	}
	for k, q := range w.m.queues {
		if q.flying+len(q.escrows)+len(q.splits) != 0 {
			w.t.Fatalf("queue %d is not empty: %+v", k, q)
		}
	}
}

// asked is the node's price for the job's priority.
func asked(n *simNode, d Dispatch) api.Credits {
	price, err := d.Spec.Priority.Price(n.price)
	if err != nil {
		panic(err) // the simulation's prices are small
	}
	return price
}

func TestSimulation(t *testing.T) {
	seeds := int64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		simulate(t, seed)
	}
}

// Equal seeds give equal runs: the machine has no hidden randomness.
func TestSimulationIsDeterministic(t *testing.T) {
	for seed := int64(100); seed < 104; seed++ {
		if a, b := simulate(t, seed), simulate(t, seed); a != b {
			t.Fatalf("seed %d: %s, then %s", seed, a, b)
		}
	}
}
