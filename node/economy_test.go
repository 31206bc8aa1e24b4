//go:build !js

package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/module"
	"inos/kernel/wire"
)

func balance(t testing.TB, n *Node) api.Credits {
	t.Helper()
	b, err := n.books.Balance(t.Context(), api.Account{Kind: api.NodeAccount, Node: n.id.ID()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// paidDispatch opens an escrow for a job that does nothing and returns what the
// payer would send to the worker.
func paidDispatch(t testing.TB, payer, worker *Node, life time.Duration) api.Dispatch {
	t.Helper()
	jobs, err := payer.plan(t.Context(), api.RandomID(), api.RunRequest{
		Module: "diagnostics", Unit: "echo", Method: "noop", Limits: api.Limits{WallMS: 500},
	})
	if err != nil {
		t.Fatal(err)
	}
	spec, price := jobs[0].Spec, worker.cfg.Prices.ComputeGgas
	amount, err := worker.cfg.Prices.Compute(spec.Limits.WithDefaults().Gas)
	if err != nil {
		t.Fatal(err)
	}
	e := api.Escrow{
		ID: wire.EscrowID(spec.ID, 1), Job: spec.ID, Payer: payer.id.ID(), Worker: worker.id.ID(),
		Amount: amount, Price: price, Expires: time.Now().Add(life).UnixMilli(),
	}
	out, err := payer.books.Submit(t.Context(), payer.pay(api.RandomID(), api.EscrowOpen{Escrows: []api.Escrow{e}}))
	if err != nil {
		t.Fatal(err)
	}
	e.Seq = out.First
	return api.Dispatch{Spec: spec, Attempt: 1, Escrow: e}
}

// The report of its payer names an escrow as its entry does, until it closes.
func TestCreditsNameOpenEscrows(t *testing.T) {
	nodes := startMesh(t, 2)
	payer, worker := nodes[0], nodes[1]
	open := func(n *Node) []api.Account {
		t.Helper()
		rep, err := n.Credits(t.Context(), api.CreditsFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return rep.Escrows
	}
	kept, done := paidDispatch(t, payer, worker, 5*time.Minute), paidDispatch(t, payer, worker, 5*time.Minute)
	entries, err := payer.Credits(t.Context(), api.CreditsFilter{Cause: "escrow"})
	if err != nil || len(entries.Entries) != 2 {
		t.Fatalf("%+v, %v", entries.Entries, err)
	}
	for _, e := range entries.Entries {
		if !slices.Contains(entries.Escrows, e.To) {
			t.Errorf("%s is open and not among %s", e.To, entries.Escrows)
		}
	}
	if got := open(worker); len(got) != 0 {
		t.Errorf("the worker pays %s", got)
	}
	r := worker.worker.run(t.Context(), done)
	if _, err := payer.books.Submit(t.Context(), payer.pay(api.RandomID(), api.EscrowSettle{
		Settlements: []api.Settlement{{Escrow: done.Escrow.ID, Proof: wire.ProofOf(r)}},
	})); err != nil {
		t.Fatal(err)
	}
	if got, want := open(payer), []api.Account{{Kind: api.EscrowAccount, ID: kept.Escrow.ID}}; !slices.Equal(got, want) {
		t.Errorf("after a settlement %s are open, want %s", got, want)
	}
}

// A worker is paid even when the payer takes the result and never settles.
func TestUnsettledWorkIsClaimed(t *testing.T) {
	nodes := startMesh(t, 2)
	payer, w := nodes[0], nodes[1].worker
	w.slack = 0
	w.claims.mu.Lock()
	w.claims.every, w.claims.rest, w.claims.after = 20*time.Millisecond, 20*time.Millisecond, 0
	w.claims.mu.Unlock()
	before := balance(t, nodes[1])
	d := paidDispatch(t, payer, nodes[1], 2*time.Second)
	r := w.run(t.Context(), d)
	if r.Kind != api.Other || r.Escrow != d.Escrow.Seq {
		t.Fatalf("the job: %s %s", r.Kind, r.Message)
	}
	if c := openClaims(nodes[1]); len(c.open) != 1 {
		t.Errorf("%d claims after a restart, want 1", len(c.open))
	}
	want := before + d.Escrow.Payment(r.Kind, r.Gas)
	waitFor(t, "the worker to be paid", func() bool { return balance(t, nodes[1]) == want })
	waitFor(t, "the claim to go", func() bool { return w.claims.count() == 0 })
	if c := openClaims(nodes[1]); len(c.open) != 0 {
		t.Errorf("%d claims are left in the metadata", len(c.open))
	}
}

// What the payer settles is no claim any more, long before the escrow expires.
func TestSettledWorkIsNoClaim(t *testing.T) {
	nodes := startMesh(t, 2)
	c := nodes[1].worker.claims
	c.mu.Lock()
	c.every, c.rest = 20*time.Millisecond, 20*time.Millisecond
	c.mu.Unlock()
	for range 3 {
		jobs := runAll(t, nodes[0], api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop", Node: nodes[1].member.Name})
		if jobs[0].State != api.JobDone || jobs[0].Price == 0 {
			t.Fatalf("%+v", jobs)
		}
	}
	waitFor(t, "the claims to go", func() bool { return c.count() == 0 })
}

// An escrow pays for one attempt at one job, and the refusal of another cannot
// be used to close it.
func TestEscrowPaysOnce(t *testing.T) {
	nodes := startMesh(t, 2)
	payer, w := nodes[0], nodes[1].worker
	d := paidDispatch(t, payer, nodes[1], 5*time.Minute)
	if r := w.run(t.Context(), d); r.Kind != api.Other {
		t.Fatalf("the first: %s %s", r.Kind, r.Message)
	}
	again, attempt, other := d, d, d
	attempt.Attempt = 2
	other.Spec.ID = api.RandomID()
	for name, tt := range map[string]struct {
		d    api.Dispatch
		want api.Kind
	}{"again": {again, api.Exists}, "as another attempt": {attempt, api.Exists}, "for another job": {other, api.Denied}} {
		r := w.run(t.Context(), tt.d)
		if r.Kind != tt.want || r.Escrow != 0 {
			t.Errorf("%s: %s with escrow %d, want %s without one", name, r.Kind, r.Escrow, tt.want)
		}
		_, err := payer.books.Submit(t.Context(), payer.pay(api.RandomID(), api.EscrowSettle{
			Settlements: []api.Settlement{{Escrow: d.Escrow.ID, Proof: wire.ProofOf(r)}},
		}))
		if err == nil {
			t.Errorf("%s: the refusal closed the escrow", name)
		}
	}
	short := paidDispatch(t, payer, nodes[1], time.Second)
	if r := w.run(t.Context(), short); r.Kind != api.Unavailable || r.Escrow != short.Escrow.Seq {
		t.Errorf("an escrow that ends too soon: %s %s", r.Kind, r.Message)
	}
}

func TestWorkerRefusesLimits(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	for _, l := range []api.Limits{{WallMS: maxWall + 1}, {OutputBytes: maxOutput + 1}} {
		jobs := runAll(t, n, api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop", Limits: l})
		if len(jobs) != 1 || jobs[0].Result.Kind != api.Invalid {
			t.Errorf("%+v: %+v", l, jobs)
		}
	}
	r := n.worker.fail(api.JobResult{ID: api.RandomID(), Worker: n.id.ID()}, api.Errorf("x", api.Trapped, strings.Repeat("ü", 4000)))
	if _, err := wire.EncodeResults([]api.JobResult{r}); err != nil {
		t.Errorf("a result with a long message: %v", err)
	}
}

// A cheque lets its payer read what it pays for, not what it says.
func TestReadingTakesPaidCheques(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	c, payer := n.cheques, api.NodeID{1}
	c.mu.Lock()
	c.cashAfter, c.unpaid = time.Hour, 1<<20
	c.mu.Unlock()
	cheque := func(amount api.Credits, bytes uint64) api.Cheque {
		return api.Cheque{Payer: payer, Payee: n.id.ID(), Cumulative: amount, Bytes: bytes}
	}
	denied := func(what string, want bool) {
		t.Helper()
		if err := c.mayRead(payer); errors.Is(err, api.Denied) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.take(cheque(1, 1<<40)); err != nil {
		t.Fatal(err)
	}
	c.served(payer, api.GiB)
	denied("one microcredit for a TiB", true)
	if _, err := c.take(cheque(1+n.cfg.Prices.ServeGiB, 1<<30)); !errors.Is(err, api.Invalid) {
		t.Errorf("fewer bytes than before: %v", err)
	}
	good := cheque(1+n.cfg.Prices.ServeGiB, 1<<40+api.GiB)
	if best, err := c.take(good); err != nil || best != good {
		t.Fatal(best, err)
	}
	denied("paid by cheque", false)
	covered := c.in[payer].covered
	c.cashed(good, covered, api.E("ledger", api.Unfunded, nil))
	denied("a cheque without funds", true)
	c.cashed(good, covered, nil)
	denied("cashed", false)
	if best, err := c.take(cheque(1, 1)); err != nil || best != good {
		t.Errorf("an old cheque is answered with %+v, %v", best, err)
	}
}

// Cheques that were not cashed before a crash are cashed after it, once; and a
// payer that lost its record goes on from the payee's.
func TestChequesSurviveACrash(t *testing.T) {
	nodes := startMesh(t, 2)
	a, b := nodes[0], nodes[1]
	b.cheques.mu.Lock()
	b.cheques.cashAfter = time.Hour
	b.cheques.mu.Unlock()
	before := balance(t, b)
	held := func() api.Cheque {
		b.cheques.mu.Lock()
		defer b.cheques.mu.Unlock()
		return b.cheques.reader(a.id.ID()).best
	}
	a.cheques.arrived(b.id.ID(), 3*api.GiB)
	waitFor(t, "the cheque", func() bool { return held().Bytes == 3*api.GiB })

	after := newChequeBook(b)
	after.cashAfter = time.Millisecond
	after.start()
	want := before + held().Cumulative
	waitFor(t, "the cheque to be cashed", func() bool { return balance(t, b) == want })
	waitFor(t, "the record of it", func() bool { return len(newChequeBook(b).dirty) == 0 })

	a.cheques.mu.Lock()
	delete(a.cheques.out, b.id.ID())
	a.cheques.mu.Unlock()
	a.cheques.arrived(b.id.ID(), api.GiB)
	waitFor(t, "the payer to go on", func() bool { return held().Bytes == 4*api.GiB })
	if got, want := held().Cumulative, want-before+b.cfg.Prices.ServeGiB; got != want {
		t.Errorf("the cheque is over %s, want %s", got, want)
	}
}

// A payment whose answer was lost is looked for before it is made again under
// an id that the ledger has forgotten.
func TestStorageIsPaidOnce(t *testing.T) {
	nodes := startMesh(t, 2)
	a, b := nodes[0], nodes[1]
	pay := func(amount api.Credits) api.StoragePay {
		return api.StoragePay{Root: api.Address{1}, Payments: []api.StoragePayment{{Holder: b.id.ID(), Amount: amount, Bytes: 1}}}
	}
	row := func(op api.StoragePay) string {
		v, err := json.Marshal(outItem{Storage: &op, Sent: time.Now().UnixMilli()})
		if err != nil {
			t.Fatal(err)
		}
		id := api.RandomID()
		key := "out/" + string(id[:])
		if err := a.meta.Set(key, v); err != nil {
			t.Fatal(err)
		}
		return key
	}
	if _, err := a.books.Submit(t.Context(), a.pay(api.RandomID(), pay(100))); err != nil {
		t.Fatal(err)
	}
	before := balance(t, b)
	a.outbox.life = 0
	if err := a.meta.Set("out/damaged", []byte("{")); err != nil {
		t.Fatal(err)
	}
	paid, unpaid, unfunded := row(pay(100)), row(pay(7)), row(pay(GenesisSupply))
	a.outbox.wake()
	waitFor(t, "the payment that was not made", func() bool { return balance(t, b) >= before+7 })
	waitFor(t, "the rows to go", func() bool {
		for _, key := range []string{paid, unpaid, "out/damaged"} {
			if _, err := a.meta.Get(key); api.KindOf(err) != api.NotFound {
				return false
			}
		}
		return true
	})
	if got := balance(t, b); got != before+7 {
		t.Errorf("b got %s, want %s", got-before, api.Credits(7))
	}
	if _, err := a.meta.Get(unfunded); err != nil {
		t.Errorf("the payment that waits for funds: %v", err)
	}
}

// The time of the first attempt is kept before it is made.
func TestPaymentIsStampedBeforeItIsSent(t *testing.T) {
	nodes := startMesh(t, 2)
	a, b := nodes[0], nodes[1]
	_ = a.Close()
	if err := b.outbox.add(api.StoragePay{Root: api.Address{1}, Payments: []api.StoragePayment{{Holder: a.id.ID(), Amount: 1, Bytes: 1}}}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the stamp", func() bool {
		sent := int64(0)
		_ = b.meta.Iterate("out/", func(_ string, v []byte) bool {
			var it outItem
			_ = json.Unmarshal(v, &it)
			sent = it.Sent
			return true
		})
		return sent != 0
	})
}

// A worker chooses the receipts of an output; what they can cost is bounded.
func TestOutputReceiptsAreBounded(t *testing.T) {
	nodes := startMesh(t, 2)
	n := nodes[0]
	stranger := identity.NewFromSeed([identity.SeedSize]byte{9})
	sign := func(id identity.Identity, blocks byte, size uint64) api.Receipt {
		return identity.SignReceipt(id, api.Receipt{Blocks: api.Hash{blocks}, Count: 1, Bytes: size, Time: 1})
	}
	one := sign(nodes[1].id, 1, 1000)
	j := api.Job{Result: api.JobResult{OutputSize: 4000, Receipts: []api.Receipt{one, one, sign(stranger, 1, 1000)}}}
	kepts, err := n.keptOutput(j)
	if err != nil || len(kepts) != 1 || kepts[nodes[1].id.ID()].bytes != 1000 {
		t.Errorf("kept %+v, %v", kepts, err)
	}
	j.Result.Receipts = []api.Receipt{sign(nodes[1].id, 1, 1<<60), sign(nodes[1].id, 2, 1<<63)}
	if kepts, err = n.keptOutput(j); err != nil || kepts[nodes[1].id.ID()].bytes > 4000+4000/64+256<<10 {
		t.Errorf("a worker that claims exabytes is paid for %+v, %v", kepts[nodes[1].id.ID()], err)
	}
	j.Result.OutputSize = api.DefaultOutput + 1
	if _, err = n.keptOutput(j); !errors.Is(err, api.Corrupt) {
		t.Errorf("an output above the limit: %v", err)
	}
}

// An output that the payer has already changes nothing of its own object.
func TestOutputLeavesOwnObjectAlone(t *testing.T) {
	nodes := startMesh(t, 2)
	n := nodes[0]
	obj := put(t, n, "mine.txt", []byte("mine"), api.Policy{Copies: 2})
	j := api.Job{Name: "other", Result: api.JobResult{Output: obj.Link, OutputSize: 4, Receipts: []api.Receipt{
		identity.SignReceipt(nodes[1].id, api.Receipt{Blocks: api.Hash{1}, Count: 1, Bytes: 1 << 20, Time: 1}),
	}}}
	if err := n.ownOutput(j); err != nil {
		t.Fatal(err)
	}
	if got, err := n.object(obj.Link.Root); err != nil || got.Name != obj.Name || got.Copies != 2 || got.Paid != obj.Paid || got.Created != obj.Created {
		t.Errorf("the object became %+v, %v", got, err)
	}
}

// Nobody is paid more than this node's bound, whatever they announce.
func TestPricesAreCapped(t *testing.T) {
	seed := start(t, Config{Dir: t.TempDir(), Name: "seed"})
	dear := join(t, seed, Config{Dir: t.TempDir(), Name: "dear", Prices: &api.Prices{
		StorageGiBMonth: 1 << 60, ServeGiB: 1 << 60, ComputeGgas: 1000 * api.Credit,
	}})
	waitOnline(t, seed, dear)
	if got := seed.price(dear.id.ID()); got != *seed.cfg.MaxPrices {
		t.Errorf("pays %+v", got)
	}
	req := api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop", Node: "dear"}
	jobs := runAll(t, seed, req)
	if len(jobs) != 1 || jobs[0].Result.Kind != api.PriceAboveCap {
		t.Errorf("a job there: %+v", jobs)
	}
	if _, err := seed.Quote(t.Context(), req); err != nil {
		t.Errorf("a quote there: %v", err)
	}
	if _, err := costOf(api.Prices{ComputeGgas: 1 << 40}, api.Normal, api.Ggas, 1<<30); !errors.Is(err, api.Invalid) {
		t.Errorf("a price that overflows: %v", err)
	}
}

func TestBisectPassesOverRefusedItems(t *testing.T) {
	var done []int
	err := bisect([]int{1, 2, 3, 4, 5, 6, 7}, func(part []int) error {
		if slices.Contains(part, 3) || slices.Contains(part, 6) {
			return api.Errorf("ledger", api.NotFound, "closed")
		}
		done = append(done, part...)
		return nil
	})
	if err != nil || !slices.Equal(done, []int{1, 2, 4, 5, 7}) {
		t.Errorf("submitted %v, %v", done, err)
	}
	if err := bisect([]int{1, 2}, func([]int) error { return api.Unavailable }); !errors.Is(err, api.Unavailable) {
		t.Errorf("an unreachable ledger: %v", err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	h := n.jobs.history
	h.mu.Lock()
	h.max, h.room = 10, 5
	h.mu.Unlock()
	for i := range 40 {
		n.jobs.file(api.Job{Spec: api.JobSpec{ID: api.RandomID(), Submitted: int64(i)}, State: api.JobDone})
	}
	count := func() (jobs int, oldest int64) {
		page, err := n.Jobs(t.Context(), api.JobFilter{Limit: api.MaxPage})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Jobs), page.Jobs[len(page.Jobs)-1].Spec.Submitted
	}
	waitFor(t, "the oldest jobs to go", func() bool {
		jobs, oldest := count()
		return jobs <= 15 && oldest >= 25
	})
}

// A list that is longer than a page is complete, running jobs first.
func TestJobsPages(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	var want []api.ID
	d := n.jobs
	for i := range 12 {
		j := api.Job{Spec: api.JobSpec{ID: api.RandomID(), Submitted: int64(100 - i)}, State: api.JobRunning}
		if i >= 5 {
			j.State = api.JobDone
			d.file(j)
		} else {
			d.table.Lock()
			d.live[j.Spec.ID] = &j
			d.table.Unlock()
		}
		want = append(want, j.Spec.ID)
	}
	for _, limit := range []int{1, 2, 5, 7, 12, 20} {
		var got []api.ID
		for f := (api.JobFilter{Limit: limit}); ; {
			page, err := n.Jobs(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range page.Jobs {
				got = append(got, j.Spec.ID)
			}
			if f.After = page.Next; f.After == "" || len(got) > len(want) {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %d of %d jobs, or in another order", limit, len(got), len(want))
		}
	}
}

func TestCapabilityNumbersGrow(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Name: "a"}
	n := start(t, cfg)
	ahead := uint64(time.Now().Add(time.Hour).UnixMilli()) << 8
	n.capSeq.Store(ahead) // the clock was ahead
	if got := n.nextSeq(); got != ahead+1 {
		t.Errorf("number %d after %d", got, ahead)
	}
	_ = n.Close()
	if got := start(t, cfg).nextSeq(); got <= ahead+1 {
		t.Errorf("number %d after a restart, want above %d", got, ahead+1)
	}
}

func TestShelfIsBoundedAndHonest(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	if _, err := n.ModuleAdd(t.Context(), bytes.NewReader(probe(t))); err != nil {
		t.Fatal(err)
	}
	s := n.modules
	s.mu.Lock()
	for _, it := range s.items { // as if a member had announced it
		it.Record.Name, it.Info, it.desc = "compiler", nil, nil
	}
	s.mu.Unlock()
	if _, err := n.Module(t.Context(), "compiler"); !errors.Is(err, api.Conflict) {
		t.Errorf("a module under a false name: %v", err)
	}
	if m, err := n.Module(t.Context(), "probe"); err != nil || m.Name != "probe" {
		t.Errorf("the same under its own: %+v, %v", m, err)
	}
	records := make([]wire.ModuleRecord, wire.MaxNewsModules+1)
	for i := range records {
		records[i].Hash = api.Hash{1, byte(i), byte(i >> 8)}
	}
	s.learn(records, nil)
	if err := s.room(&module.Description{Hash: api.Hash{2}}); !errors.Is(err, api.Exhausted) {
		t.Errorf("one module too many: %v", err)
	}
	if got, _ := s.news(); len(got) != wire.MaxNewsModules {
		t.Errorf("news with %d modules", len(got))
	}
}
