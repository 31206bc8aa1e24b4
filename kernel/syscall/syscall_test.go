package syscall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/wire"
)

// guest is memory and gas, as an engine shows them.
type guest struct {
	memory []byte
	gas    uint64
	brk    error // what Give fails with
}

func (g *guest) View(s wire.Span) ([]byte, bool) {
	end := uint64(s.Pointer) + uint64(s.Length)
	if end > uint64(len(g.memory)) {
		return nil, false
	}
	return g.memory[s.Pointer:end], true
}

func (g *guest) Give(b []byte) (wire.Span, error) {
	if g.brk != nil || len(b) == 0 {
		return wire.Span{}, g.brk
	}
	at := wire.Span{Pointer: uint32(len(g.memory)), Length: uint32(len(b))}
	g.memory = append(g.memory, b...)
	return at, nil
}

func (g *guest) Fill(at wire.Span, b []byte) { copy(g.memory[at.Pointer:][:at.Length], b) }

func (g *guest) Left() uint64 { return g.gas }

func (g *guest) TakeGas(n uint64) bool {
	if n > g.gas {
		return false
	}
	g.gas -= n
	return true
}

func (g *guest) GiveGas(n uint64) { g.gas += n }

// services counts what reaches it and answers with what it is told to.
type services struct {
	calls   atomic.Int64
	fetch   func(Fetch) ([]byte, uint64, error)
	send    error
	wait    bool // sending does not end by itself
	thread  func(ctx context.Context, c module.Call) (module.Result, error)
	spawner *Caller // of the last thread
	stored  Store   // the last
}

func (s *services) Fetch(_ context.Context, _ *Caller, q Fetch) ([]byte, uint64, error) {
	s.calls.Add(1)
	if s.fetch == nil {
		return []byte("fetched"), 7, nil
	}
	return s.fetch(q)
}

func (s *services) Store(_ context.Context, _ *Caller, q Store) (api.Link, error) {
	s.calls.Add(1)
	s.stored = q
	return api.Link{Root: api.Address{byte(s.calls.Load())}}, nil
}

func (s *services) Send(ctx context.Context, c *Caller, to api.NodeID, name string, data []byte) (wire.MessageReceipt, error) {
	s.calls.Add(1)
	if s.wait {
		<-ctx.Done()
		return wire.MessageReceipt{}, api.E("test", api.Other, ctx.Err())
	}
	return wire.MessageReceipt{FromModule: c.Module.Hash, ToNode: to, Sequence: uint64(s.calls.Load())}, s.send
}

func (s *services) Host(_ context.Context, _ *Caller, service, op, arg string, data []byte) (HostAnswer, error) {
	s.calls.Add(1)
	return HostAnswer{Code: 200, Detail: service + "/" + op, Data: append([]byte(arg+"="), data...)}, nil
}

type running struct {
	cancel context.CancelFunc
	done   chan struct{}
	res    module.Result
	err    error
}

func (r *running) Kill()                          { r.cancel() }
func (r *running) Done() <-chan struct{}          { return r.done }
func (r *running) Result() (module.Result, error) { return r.res, r.err }

func (s *services) Spawn(ctx context.Context, by *Caller, c module.Call) (Thread, error) {
	s.calls.Add(1)
	s.spawner = by
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		if s.thread != nil {
			r.res, r.err = s.thread(ctx, c)
			return
		}
		r.res = module.Result{Output: c.Input, Gas: c.Limits.Gas / 2}
	}()
	return r, nil
}

// desk is a kernel with one module's session.
type desk struct {
	k   *Kernel
	s   *Session
	g   *guest
	svc *services
	now int64
}

var everything = []string{
	module.FetchChunk, module.StoreChunk, module.SendMessage, module.SpawnThread, module.HostCallPrefix + "kv",
}

func description(deterministic bool, calls ...string) *module.Description {
	return &module.Description{
		Manifest: module.Manifest{Name: "probe", Version: "1.0.0", ABI: 2, Deterministic: deterministic, Syscalls: calls}, Hash: api.Hash{1, 2, 3},
	}
}

func open(t testing.TB, p Policy, c Caller) *desk {
	t.Helper()
	d := &desk{g: &guest{memory: []byte("0123456789abcdef"), gas: 1000}, svc: &services{}}
	k, err := New(Config{Policy: p, Prices: api.Prices{StorageGiBMonth: api.Credit, ServeGiB: api.Credit}, Services: d.svc, Now: func() int64 { return d.now }})
	if err != nil {
		t.Fatal(err)
	}
	if c.Module == nil {
		c.Module = description(false, everything...)
	}
	c.Limits = c.Limits.WithDefaults()
	d.k, d.s = k, k.Open(c)
	t.Cleanup(func() { d.s.End(d.g) })
	return d
}

func (d *desk) call(t testing.TB, q wire.SyscallRequest) (wire.SyscallResult, error) {
	t.Helper()
	b, err := wire.EncodeSyscallRequest(q)
	if err != nil {
		t.Fatal(err)
	}
	done, err := d.s.Syscall(context.Background(), b, d.g)
	if err != nil {
		return nil, err
	}
	c, err := wire.DecodeSyscallCompletion(done)
	if err != nil || c.ID != q.ID {
		t.Fatalf("completion %+v of request %d, %v", c, q.ID, err)
	}
	return c.Result, nil
}

// refused checks that a request is refused for a reason, seen as its kind, and
// that no service heard of it.
func (d *desk) refused(t testing.TB, q wire.SyscallRequest, why Reason) {
	t.Helper()
	before, name := d.svc.calls.Load(), NameOf(q.Op)
	count := func() uint64 {
		for _, m := range d.k.Counts() {
			return m.Syscalls[name].Refused[why]
		}
		return 0
	}
	counted := count()
	res, err := d.call(t, q)
	f, ok := res.(wire.SyscallFailed)
	if err != nil || !ok || f.Kind != kinds[why] || f.Message == "" {
		t.Errorf("%s: got %+v, %v; want %s", name, res, err, kinds[why])
	}
	if d.svc.calls.Load() != before {
		t.Errorf("%s was refused for %s and reached the service", name, why)
	}
	if count() != counted+1 {
		t.Errorf("%s: %s was not counted", name, why)
	}
}

func host(key string) wire.SyscallRequest {
	return wire.SyscallRequest{ID: 9, Op: wire.HostCall{Service: "kv", Operation: "put", Argument: key, Data: wire.Span{Pointer: 2, Length: 3}}}
}

func TestEverySyscallIsServed(t *testing.T) {
	link := api.Link{Root: api.Address{9}}
	d := open(t, Policy{}, Caller{Params: []byte(`{"from":["` + link.String() + `"]}`)})
	d.svc.send = nil
	for _, tt := range []struct {
		op   wire.SyscallOp
		want func(wire.SyscallResult) bool
	}{
		{wire.FetchChunk{Link: link.String()}, func(r wire.SyscallResult) bool {
			f, ok := r.(wire.FetchDone)
			b, _ := d.g.View(f.Data)
			return ok && string(b) == "fetched" && f.Size == 7
		}},
		{wire.StoreChunk{Name: "part", Data: wire.Span{Length: 4}}, func(r wire.SyscallResult) bool {
			s, ok := r.(wire.StoreDone)
			return ok && s.Size == 4 && s.Link == api.Link{Root: api.Address{2}}.String()
		}},
		{wire.SendMessage{Module: "m", Data: wire.Span{Length: 4}}, func(r wire.SyscallResult) bool {
			s, ok := r.(wire.SendDone)
			p, err := wire.DecodeMessageReceipt(s.Receipt)
			return ok && err == nil && p.FromModule == api.Hash{1, 2, 3} && s.Sequence == 3
		}},
		{host("k").Op, func(r wire.SyscallResult) bool {
			a, ok := r.(wire.HostDone)
			b, _ := d.g.View(a.Data)
			return ok && a.Code == 200 && a.Detail == "kv/put" && string(b) == "k=234"
		}},
		{wire.SpawnThread{Unit: "u", Method: "m", Input: wire.Span{Pointer: 10, Length: 6}, Gas: 600}, func(r wire.SyscallResult) bool {
			return r == wire.SpawnDone{Thread: 1} && d.g.gas == 400
		}},
		{wire.AwaitThread{Thread: 1}, func(r wire.SyscallResult) bool {
			e, ok := r.(wire.AwaitDone)
			b, _ := d.g.View(e.Data)
			return ok && string(b) == "abcdef" && e.Gas == 300 && d.g.gas == 700
		}},
	} {
		if res, err := d.call(t, wire.SyscallRequest{ID: 5, Op: tt.op}); err != nil || !tt.want(res) {
			t.Errorf("%T: %+v, %v", tt.op, res, err)
		}
	}
	for _, c := range d.k.Counts()[0].Syscalls {
		if c.Served != 1 || c.Failed != 0 {
			t.Errorf("counted %+v", d.k.Counts())
		}
	}
}

// A request that names another module as its source is refused and counted, and
// one that names its own is served: the ring says who asks.
func TestSpoofedSourceIsRefused(t *testing.T) {
	d := open(t, Policy{}, Caller{})
	q := host("k")
	q.Source = api.Hash{6, 6, 6}
	d.refused(t, q, Spoofed)
	q.Source = api.Hash{1, 2, 3}
	if res, err := d.call(t, q); err != nil || d.svc.calls.Load() != 1 {
		t.Errorf("its own id: %+v, %v", res, err)
	}
}

func TestRefusals(t *testing.T) {
	link := api.Link{Root: api.Address{9}}
	other := api.Link{Root: api.Address{8}}
	rule := func(text string) Policy {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		return Policy{Rules: []Rule{r}}
	}
	all := Caller{Params: []byte(`{"a":"` + link.String() + `"}`)}
	op := func(o wire.SyscallOp) wire.SyscallRequest { return wire.SyscallRequest{ID: 4, Op: o} }
	for _, tt := range []struct {
		name   string
		policy Policy
		caller Caller
		q      wire.SyscallRequest
		why    Reason
	}{
		{"unlisted", Policy{}, Caller{Module: description(false, module.FetchChunk)}, host("k"), Unlisted},
		{"unlisted service", Policy{}, all, op(wire.HostCall{Service: "http"}), Unlisted},
		{"denied by name", rule("probe deny=hostCall:kv"), all, host("k"), Forbidden},
		{"denied to all", rule("* deny=*"), all, host("k"), Forbidden},
		{"not allowed", rule("probe allow=fetchChunk"), all, host("k"), Forbidden},
		{"no budget", rule("probe budget=0"), all, host("k"), OverSpent},
		{"no total", Policy{Total: 1}, all, op(wire.StoreChunk{Name: "x", Data: wire.Span{Length: 16}}), ""},
		{"another link", Policy{}, all, op(wire.FetchChunk{Link: other.String()}), Ungranted},
		{"another block", Policy{}, all, op(wire.FetchChunk{Address: api.Address{8}}), Ungranted},
		{"no input", Policy{}, all, op(wire.FetchChunk{}), Malformed},
		{"a path in a block", Policy{}, all, op(wire.FetchChunk{Address: link.Root, Path: "a"}), Malformed},
		{"too long a fetch", Policy{}, all, op(wire.FetchChunk{Link: link.String(), Length: 17 << 20}), Malformed},
		{"no link", Policy{}, all, op(wire.FetchChunk{Link: "ipfs:x"}), Malformed},
		{"a place that is not there", Policy{}, all, op(wire.FetchChunk{Link: link.String(), Into: wire.Span{Pointer: 15, Length: 2}}), Malformed},
		{"a place beyond 4 GiB", Policy{}, all, op(wire.FetchChunk{Link: link.String(), Into: wire.Span{Pointer: 1<<32 - 4, Length: 5}}), Malformed},
		{"a place too small", Policy{}, all, op(wire.FetchChunk{Link: link.String(), Length: 9, Into: wire.Span{Length: 8}}), Malformed},
		{"an empty block", Policy{}, all, op(wire.StoreChunk{Name: "x", Block: true}), Malformed},
		{"no total for a block", Policy{Total: 1}, all, op(wire.StoreChunk{Name: "x", Data: wire.Span{Length: 16}, Block: true}), ""},
		{"a block above the output limit", Policy{}, Caller{Limits: api.Limits{OutputBytes: 3}}, op(wire.StoreChunk{Name: "x", Data: wire.Span{Length: 4}, Block: true}), Limited},
		{"a slash", Policy{}, all, op(wire.StoreChunk{Name: "../x"}), Malformed},
		{"memory that is not there", Policy{}, all, op(wire.StoreChunk{Name: "x", Data: wire.Span{Pointer: 15, Length: 2}}), Malformed},
		{"too long a message", Policy{}, all, op(wire.SendMessage{Module: "m", Data: wire.Span{Length: 1 << 20}}), Malformed},
		{"no node", Policy{}, all, op(wire.SendMessage{Node: "nobody", Module: "m"}), Malformed},
		{"no module", Policy{}, all, op(wire.SendMessage{}), Malformed},
		{"too much gas", Policy{}, all, op(wire.SpawnThread{Gas: 1001}), Limited},
		{"threads of a thread", Policy{}, Caller{Thread: true}, op(wire.SpawnThread{}), Limited},
		{"output limit", Policy{}, Caller{Limits: api.Limits{OutputBytes: 3}}, op(wire.StoreChunk{Name: "x", Data: wire.Span{Length: 4}}), Limited},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, tt.policy, tt.caller)
			if tt.why == "" { // a microcredit is enough for one
				if _, err := d.call(t, tt.q); err != nil {
					t.Fatal(err)
				}
				tt.why = OverSpent
			}
			d.refused(t, tt.q, tt.why)
		})
	}
}

// desks are sessions of one module for several payers.
func desks(t *testing.T, self int, p Policy, payers int) []*desk {
	t.Helper()
	first := open(t, p, Caller{})
	k, err := New(Config{
		Policy: p, Prices: api.Prices{StorageGiBMonth: api.Credit}, Services: first.svc, Self: api.NodeID{byte(self)}, Now: func() int64 { return first.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []*desk
	for i := range payers {
		c := Caller{Module: description(false, everything...), Owner: api.NodeID{byte(i + 1)}, Blame: api.NodeID{byte(i + 1)}, Limits: api.Limits{}.WithDefaults()}
		d := &desk{k: k, s: k.Open(c), g: &guest{memory: make([]byte, api.MaxBlock), gas: 1000}, svc: first.svc}
		t.Cleanup(func() { d.s.End(d.g) })
		out = append(out, d)
	}
	return append(out, first) // the last is the clock
}

// One payer that asks as often as it can leaves the others their share, and has
// everything while nobody else asks.
func TestPayersShareTheRate(t *testing.T) {
	all := desks(t, 9, Policy{Rules: []Rule{{Module: "*", Rate: 100, Burst: 20}}}, 3)
	clock := all[3]
	ask := func(d *desk) bool {
		res, err := d.call(t, host("k"))
		if err != nil {
			t.Fatal(err)
		}
		_, refused := res.(wire.SyscallFailed)
		return !refused
	}
	alone := 0
	for range 1000 { // 10 s, of which it may use 1,000 and the burst
		clock.now += 10e6
		for range 3 {
			if ask(all[0]) {
				alone++
			}
		}
	}
	if alone < 1000 || alone > 1020 {
		t.Errorf("alone it was served %d times in 10 s at 100 a second", alone)
	}
	greedy, modest := 0, [2]int{}
	for i := range 1000 {
		clock.now += 10e6
		for range 3 {
			if ask(all[0]) {
				greedy++
			}
		}
		if i%4 == 0 { // 25 a second each: less than a third of 100
			for j := range modest {
				if ask(all[j+1]) {
					modest[j]++
				}
			}
		}
	}
	if modest[0] < 248 || modest[1] < 248 {
		t.Errorf("two modest payers were served %v of 250 beside a greedy one", modest)
	}
	if sum := greedy + modest[0] + modest[1]; sum < 980 || sum > 1020 {
		t.Errorf("together they were served %d times, want what the rate allows", sum)
	}
}

// A payer spends at most his part of a module's day, the node itself all of it, and
// what was spent is told.
func TestPayersBudgets(t *testing.T) {
	rule, err := ParseRule("* budget=0.000200 payer=0.000080")
	if err != nil {
		t.Fatal(err)
	}
	all := desks(t, 1, Policy{Rules: []Rule{rule}}, 3)
	store := wire.SyscallRequest{ID: 3, Op: wire.StoreChunk{Name: "x", Data: wire.Span{Length: 16 << 10}}} // 46 microcredits
	spend := func(d *desk) (n int) {
		for range 6 {
			if res, err := d.call(t, store); err != nil {
				t.Fatal(err)
			} else if f, refused := res.(wire.SyscallFailed); !refused {
				n++
			} else if f.Kind != api.Unfunded {
				t.Fatalf("refused: %+v", f)
			}
		}
		return n
	}
	if n := spend(all[1]); n != 1 {
		t.Errorf("a payer stored %d times on 80 microcredits", n)
	}
	if n := spend(all[0]); n != 3 {
		t.Errorf("the node itself stored %d times on the rest of 200 microcredits", n)
	}
	if n := spend(all[2]); n != 0 {
		t.Errorf("another payer stored %d times when the module had spent all", n)
	}
	c := all[0].k.Counts()[0]
	if len(c.Payers) != 3 {
		t.Fatalf("%d payers", len(c.Payers))
	}
	for _, p := range c.Payers {
		want := PayerCounts{Payer: p.Payer, Served: map[byte]uint64{1: 3, 2: 1, 3: 0}[p.Payer[0]], Refused: map[byte]uint64{1: 3, 2: 5, 3: 6}[p.Payer[0]], Spent: p.Spent, Left: p.Left}
		if p != want || p.Spent != api.Credits(46*p.Served) || p.Left != 200-4*46 {
			t.Errorf("payer %d: %+v, want %+v", p.Payer[0], p, want)
		}
	}
	all[3].now += day * 1e9 / 2 // half a day: half of it is back
	if n := spend(all[2]); n != 1 {
		t.Errorf("after half a day the other payer stored %d times", n)
	}
}

// Payers that come and go are forgotten, the busy ones last.
func TestPayersAreBounded(t *testing.T) {
	d := open(t, Policy{}, Caller{Owner: api.NodeID{200}})
	for i := range 3 * maxPayers {
		d.now++
		s := d.k.Open(Caller{Module: description(false, everything...), Owner: api.NodeID{1, byte(i)}, Limits: api.Limits{}.WithDefaults()})
		one := &desk{k: d.k, s: s, g: d.g, svc: d.svc}
		if _, err := one.call(t, host("k")); err != nil {
			t.Fatal(err)
		}
		s.End(d.g)
	}
	if n := len(d.k.Counts()[0].Payers); n != maxPayers {
		t.Errorf("%d payers are remembered, want %d", n, maxPayers)
	}
}

// A fetch goes where the guest says, as much as there is room for, and takes no
// other memory of it.
func TestFetchIntoAPlace(t *testing.T) {
	link := api.Link{Root: api.Address{9}}
	d := open(t, Policy{}, Caller{Params: []byte(`{"from":"` + link.String() + `"}`)})
	var asked Fetch
	d.svc.fetch = func(q Fetch) ([]byte, uint64, error) { asked = q; return []byte("fetched")[:min(7, q.Length)], 7, nil }
	for _, tt := range []struct {
		op   wire.FetchChunk
		ask  uint32
		want string
	}{
		{wire.FetchChunk{Into: wire.Span{Pointer: 4, Length: 12}}, 12, "0123fetchedbcdef"},
		{wire.FetchChunk{Into: wire.Span{Pointer: 13, Length: 3}}, 3, "0123fetchedbcfet"},
		{wire.FetchChunk{Into: wire.Span{Pointer: 0, Length: 8}, Length: 2}, 2, "fe23fetchedbcfet"},
	} {
		tt.op.Link = link.String()
		res, err := d.call(t, wire.SyscallRequest{ID: 5, Op: tt.op})
		f, ok := res.(wire.FetchDone)
		if err != nil || !ok || asked.Length != tt.ask || f.Data.Pointer != tt.op.Into.Pointer || f.Data.Length != min(7, tt.ask) || f.Size != 7 {
			t.Errorf("%+v: %+v after asking for %d, %v", tt.op, res, asked.Length, err)
		}
		if string(d.g.memory) != tt.want {
			t.Errorf("%+v left %q", tt.op, d.g.memory)
		}
	}
}

// A block is stored as it is, has at most the size of one, and may be read by the
// call that stored it.
func TestStoreABlock(t *testing.T) {
	d := open(t, Policy{}, Caller{})
	d.g.memory = make([]byte, api.MaxBlock+1)
	d.refused(t, wire.SyscallRequest{ID: 1, Op: wire.StoreChunk{Name: "x", Block: true, Data: wire.Span{Length: api.MaxBlock + 1}}}, Malformed)
	res, err := d.call(t, wire.SyscallRequest{ID: 5, Op: wire.StoreChunk{Name: "x", Block: true, Data: wire.Span{Length: api.MaxBlock}}})
	s, ok := res.(wire.StoreDone)
	if err != nil || !ok || s.Address.IsZero() || s.Size != api.MaxBlock || !d.svc.stored.Block || len(d.svc.stored.Data) != api.MaxBlock {
		t.Fatalf("%+v, %v", res, err)
	}
	if res, err := d.call(t, wire.SyscallRequest{ID: 6, Op: wire.FetchChunk{Address: s.Address}}); err != nil || d.svc.calls.Load() != 2 {
		t.Errorf("reading it back: %+v, %v", res, err)
	}
}

func TestRateAndBurst(t *testing.T) {
	d := open(t, Policy{Rules: []Rule{{Module: "*", Rate: 10, Burst: 3}}}, Caller{})
	for range 3 {
		if _, err := d.call(t, host("k")); err != nil {
			t.Fatal(err)
		}
	}
	d.refused(t, host("k"), TooFast)
	d.now += 100e6 // a tenth of a second: one more
	if res, err := d.call(t, host("k")); err != nil || d.svc.calls.Load() != 4 {
		t.Errorf("after waiting: %+v, %v", res, err)
	}
	d.refused(t, host("k"), TooFast)
}

// A deterministic module's call ends where what it would see depends on the
// node; what depends on its call alone it sees.
func TestDeterministicModulesSeeNothingOfTheNode(t *testing.T) {
	link := api.Link{Root: api.Address{9}}
	fetch := wire.SyscallRequest{Op: wire.FetchChunk{Link: link.String()}}
	c := Caller{Module: description(true, module.FetchChunk), Params: []byte(`{"a":"` + link.String() + `"}`)}
	ends := func(p Policy, failure error, q wire.SyscallRequest, want api.Kind) {
		t.Helper()
		d := open(t, p, c)
		d.svc.fetch = func(Fetch) ([]byte, uint64, error) { return nil, 0, failure }
		if _, err := d.call(t, q); api.KindOf(err) != want {
			t.Errorf("%v: got %v, want %v", failure, err, want)
		}
	}
	ends(Policy{Rules: []Rule{{Module: "*", Deny: []string{"fetchChunk"}}}}, nil, fetch, api.Unavailable)
	ends(Policy{Rules: []Rule{{Module: "*", Budget: -1}}}, nil, fetch, api.Unavailable)
	ends(Policy{}, api.Errorf("test", api.NotFound, "nobody has it"), fetch, api.Unavailable)
	// Whatever another member answers: it is no trap of the module, and no limit that the call reached.
	for _, kind := range []api.Kind{api.Timeout, api.Trapped, api.Invalid, api.Exhausted, api.Canceled} {
		ends(Policy{}, api.Errorf("test", kind, "said another member"), fetch, api.Unavailable)
	}

	d := open(t, Policy{Rules: []Rule{{Module: "*", FetchAny: true}}}, c)
	d.refused(t, wire.SyscallRequest{Op: wire.FetchChunk{Link: api.Link{Root: api.Address{8}}.String()}}, Ungranted)
	d.refused(t, wire.SyscallRequest{Op: wire.StoreChunk{Name: "x"}}, Unlisted)
	d.svc.fetch = func(Fetch) ([]byte, uint64, error) {
		return nil, 0, Certain(api.Errorf("test", api.Invalid, "beyond the end"))
	}
	if res, err := d.call(t, fetch); err != nil || res.(wire.SyscallFailed).Kind != api.Invalid {
		t.Errorf("a range beyond the end: %+v, %v", res, err)
	}
}

// What a call leaves running is stopped with it, and its gas comes back.
func TestEndStopsThreads(t *testing.T) {
	d := open(t, Policy{}, Caller{})
	d.svc.thread = func(ctx context.Context, _ module.Call) (module.Result, error) {
		<-ctx.Done()
		return module.Result{Gas: 50}, ctx.Err()
	}
	for range maxThreads {
		if _, err := d.call(t, wire.SyscallRequest{Op: wire.SpawnThread{Gas: 60}}); err != nil {
			t.Fatal(err)
		}
	}
	d.g.gas = 1000
	d.refused(t, wire.SyscallRequest{Op: wire.SpawnThread{Gas: 60}}, Limited)
	if res, err := d.call(t, wire.SyscallRequest{Op: wire.KillThread{Thread: 1}}); err != nil || (res != wire.KillDone{}) || d.g.gas != 1010 {
		t.Errorf("kill: %+v, %v, %d gas", res, err, d.g.gas)
	}
	res, err := d.call(t, wire.SyscallRequest{Op: wire.AwaitThread{Thread: 1}})
	if f, ok := res.(wire.SyscallFailed); err != nil || !ok || f.Kind != api.NotFound {
		t.Errorf("awaiting what was killed: %+v, %v", res, err)
	}
	d.s.End(d.g)
	if d.g.gas != 1000+10*maxThreads {
		t.Errorf("%d gas after the end", d.g.gas)
	}
}

// Waiting costs no gas, so it is bounded, for a call and its threads together.
func TestWaitingIsBounded(t *testing.T) {
	d := open(t, Policy{Rules: []Rule{{Module: "*", Wait: 10 * time.Second}}}, Caller{})
	link := api.Link{Root: api.Address{9}}
	d.s.caller.Params = []byte(`["` + link.String() + `"]`)
	fetch := wire.SyscallRequest{Op: wire.FetchChunk{Link: link.String()}}
	d.svc.fetch = func(Fetch) ([]byte, uint64, error) {
		d.now += int64(16 * time.Second)
		return make([]byte, 16<<20), 16 << 20, nil
	}
	for range 3 { // slow, but not waiting
		if res, err := d.call(t, fetch); err != nil || res.(wire.FetchDone).Size != 16<<20 {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	call := d.s
	d.s = d.k.Open(call.caller) // as a thread of it
	d.svc.fetch = func(Fetch) ([]byte, uint64, error) {
		d.now += int64(6 * time.Second)
		return nil, 0, api.Errorf("test", api.Unavailable, "nobody answers")
	}
	for range 2 {
		if res, err := d.call(t, fetch); err != nil || res.(wire.SyscallFailed).Kind != api.Unavailable {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	d.refused(t, fetch, Waited)
	d.s.End(d.g)
	d.s = call
	d.refused(t, fetch, Waited)
}

// A service that goes on for ever is left when the allowance is used up.
func TestWaitingEnds(t *testing.T) {
	d := open(t, Policy{Rules: []Rule{{Module: "*", Wait: time.Millisecond}}}, Caller{})
	d.svc.wait = true
	res, err := d.call(t, wire.SyscallRequest{Op: wire.SendMessage{Module: "m"}})
	if f, ok := res.(wire.SyscallFailed); err != nil || !ok || f.Kind != api.Timeout || !strings.Contains(f.Message, "raise wait") {
		t.Errorf("got %+v, %v", res, err)
	}
}

// A thread has a part of its call's memory, and what it stores counts with what
// its call does.
func TestThreadsShareTheirCallsLimits(t *testing.T) {
	d := open(t, Policy{}, Caller{Limits: api.Limits{MemoryBytes: 256 << 20, OutputBytes: 100}})
	d.svc.thread = func(_ context.Context, c module.Call) (module.Result, error) {
		if c.Limits.MemoryBytes != 32<<20 || c.Limits.OutputBytes != 100 {
			t.Errorf("a thread's limits: %+v", c.Limits)
		}
		s := d.k.Open(*d.svc.spawner)
		defer s.End(d.g)
		b, err := wire.EncodeSyscallRequest(wire.SyscallRequest{Op: wire.StoreChunk{Name: "x", Data: wire.Span{Length: 10}}})
		if err == nil {
			_, err = s.Syscall(context.Background(), b, d.g)
		}
		return module.Result{}, err
	}
	for i := range maxStored {
		if _, err := d.call(t, wire.SyscallRequest{Op: wire.SpawnThread{Gas: 1}}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.call(t, wire.SyscallRequest{Op: wire.AwaitThread{Thread: uint64(i + 1)}}); err != nil {
			t.Fatal(err)
		}
	}
	if stored := d.k.Counts()[0].Syscalls[module.StoreChunk]; stored.Served != 10 || stored.Refused[Limited] != maxStored-10 {
		t.Errorf("threads stored %+v", stored)
	}
}

func TestAwaitHasADeadline(t *testing.T) {
	d := open(t, Policy{}, Caller{})
	d.svc.thread = func(ctx context.Context, _ module.Call) (module.Result, error) {
		<-ctx.Done()
		return module.Result{}, ctx.Err()
	}
	if _, err := d.call(t, wire.SyscallRequest{Op: wire.SpawnThread{Gas: 60}}); err != nil {
		t.Fatal(err)
	}
	res, err := d.call(t, wire.SyscallRequest{DeadlineMS: 1, Op: wire.AwaitThread{Thread: 1}})
	if f, ok := res.(wire.SyscallFailed); err != nil || !ok || f.Kind != api.Timeout {
		t.Errorf("got %+v, %v", res, err)
	}
}

// A guest whose memory runs out while it is given a result does not go on.
func TestGuestThatCannotTakeTheResultEnds(t *testing.T) {
	d := open(t, Policy{}, Caller{})
	d.g.brk = api.Errorf("test", api.Exhausted, "no memory")
	if _, err := d.call(t, host("k")); !errors.Is(err, api.Exhausted) {
		t.Errorf("got %v", err)
	}
}

func TestRules(t *testing.T) {
	r, err := ParseRule("counter allow=fetchChunk,hostCall:kv deny=sendMessage rate=2.5 burst=7 budget=0.5 wait=90s fetch=any receive=yes")
	if err != nil || r.Rate != 2.5 || r.Burst != 7 || r.Budget != api.Credit/2 || r.Wait != 90*time.Second || !r.FetchAny || !r.Receive || len(r.Allow) != 2 || r.Deny[0] != "sendMessage" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, text := range []string{
		"", "deny=*", "m deny", "m deny=fork", "m rate=0", "m rate=NaN", "m rate=1e9", "m burst=0", "m budget=-1", "m budget=x", "m fetch=some", "m wait=0s", "m wait=2h", "deadbeef receive=yes", "m receive=1", "m color=red",
	} {
		if _, err := ParseRule(text); api.KindOf(err) != api.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
	d := description(false)
	p := Policy{Rules: []Rule{{Module: "*", Rate: 1}, {Module: "other", Rate: 2}, {Module: d.Hash.String(), Rate: 3}}}
	if got := p.For(d, true); got.Rate != 3 {
		t.Errorf("the rule for the hash: %+v", got)
	}
	p.Rules[1].Module = d.Manifest.Name
	if got := p.For(d, true); got.Rate != 2 {
		t.Errorf("the rule for the name: %+v", got)
	}
	if got := p.For(d, false); got.Rate != 3 {
		t.Errorf("the rule for a name that is another's: %+v", got)
	}
}

func TestTableIsBounded(t *testing.T) {
	d := open(t, Policy{}, Caller{})
	for i := range 2 * maxModules {
		m := description(false, everything...)
		m.Hash = api.Hash{byte(i), byte(i >> 8), 7}
		d.s = d.k.Open(Caller{Module: m, Limits: api.Limits{}.WithDefaults()})
		if _, err := d.call(t, host("k")); err != nil {
			t.Fatal(err)
		}
		d.s.End(d.g)
	}
	if n := len(d.k.Counts()); n != maxModules {
		t.Errorf("%d modules are known", n)
	}
}

// A module cannot make the counters grow by asking for services that are not.
func TestCountersAreBounded(t *testing.T) {
	d := open(t, Policy{}, Caller{})
	for i := range 2 * maxNames {
		q := wire.SyscallRequest{Op: wire.HostCall{Service: fmt.Sprint("service-", i)}}
		if res, err := d.call(t, q); err != nil || res.(wire.SyscallFailed).Kind != api.Denied {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	calls := d.k.Counts()[0].Syscalls
	if len(calls) != maxNames+1 || calls["other"].Refused[Unlisted] != maxNames {
		t.Errorf("%d names are counted, %d of them as others", len(calls), calls["other"].Refused[Unlisted])
	}
}

// Whatever is asked, in whatever order: no more than the budget is spent, gas
// comes back but for what threads used, and nothing stays in flight.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := open(t, Policy{Rules: []Rule{{Module: "*", Rate: 50, Budget: 200}}, Total: 150}, Caller{})
		served := 0
		ops := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 120).Draw(rt, "ops")
		for _, o := range ops {
			q := wire.SyscallRequest{ID: uint64(o)}
			switch o {
			case 0:
				q = host(strings.Repeat("k", rapid.IntRange(0, 900).Draw(rt, "key")))
			case 1:
				q.Op = wire.SendMessage{Module: "m", Data: wire.Span{Length: 3}}
			case 2:
				q.Op = wire.SpawnThread{Gas: rapid.Uint64Range(0, 300).Draw(rt, "gas")}
			case 3:
				q.Op = wire.KillThread{Thread: rapid.Uint64Range(0, 9).Draw(rt, "thread")}
			case 4:
				q.Op = wire.AwaitThread{Thread: rapid.Uint64Range(0, 9).Draw(rt, "thread")}
			case 5:
				q.Op = wire.StoreChunk{Name: "x", Data: wire.Span{Length: rapid.Uint32Range(0, 20).Draw(rt, "bytes")}}
			case 6:
				d.now += rapid.Int64Range(-1e9, 2e8).Draw(rt, "time")
				continue
			}
			res, err := d.call(t, q)
			if err != nil {
				rt.Fatalf("%+v: %v", q, err)
			}
			switch res.(type) {
			case wire.HostDone, wire.SendDone, wire.StoreDone:
				served++
			}
		}
		if served > 150 { // each costs a microcredit at least, and hardly any come back in this time
			rt.Fatalf("%d calls were paid from 150 microcredits", served)
		}
		d.s.End(d.g)
		if d.g.gas > 1000 {
			rt.Fatalf("%d gas came back of 1000", d.g.gas)
		}
		for _, m := range d.k.Counts() {
			if m.InFlight != 0 {
				rt.Fatalf("%d in flight at the end", m.InFlight)
			}
		}
	})
}

// More calls than the arena has rings for take private ones.
func TestLanes(t *testing.T) {
	d := open(t, Policy{Rules: []Rule{{Module: "*", Rate: 1e6}}}, Caller{})
	var sessions []*Session
	for range 2*arenaLanes + 3 {
		d.s = d.k.Open(Caller{Module: description(false, everything...)})
		if _, err := d.call(t, host("k")); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, d.s)
	}
	for _, s := range sessions {
		s.End(d.g)
	}
	if len(d.k.lanes.free) > arenaLanes {
		t.Errorf("%d pairs are kept", len(d.k.lanes.free))
	}
	d.s = d.k.Open(Caller{Module: description(false, everything...)})
	if res, err := d.call(t, host("again")); err != nil || !bytes.Contains(d.g.memory, []byte("again=")) {
		t.Errorf("a pair used before: %+v, %v", res, err)
	}
}

// Whatever a guest submits, it gets a completion or its call ends; nothing
// panics, and the ring is fit for the next request.
func FuzzSyscall(f *testing.F) {
	for _, op := range []wire.SyscallOp{
		wire.FetchChunk{},
		wire.FetchChunk{Link: api.Link{Root: api.Address{9}}.String()},
		wire.StoreChunk{Name: "x", Data: wire.Span{Length: 4}},
		wire.SendMessage{Module: "m"},
		wire.SpawnThread{Unit: "u"},
		wire.KillThread{Thread: 1},
		wire.AwaitThread{Thread: 1},
		host("k").Op,
	} {
		b, _ := wire.EncodeSyscallRequest(wire.SyscallRequest{ID: 3, Op: op})
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > wire.MaxSyscall {
			return
		}
		d := open(t, Policy{}, Caller{})
		done, err := d.s.Syscall(context.Background(), b, d.g)
		if err != nil {
			t.Fatalf("%x: %v", b, err)
		}
		if _, err := wire.DecodeSyscallCompletion(done); err != nil {
			t.Fatalf("%x: completed with %x, %v", b, done, err)
		}
		if _, err := d.call(t, host("k")); err != nil {
			t.Fatalf("after %x: %v", b, err)
		}
	})
}
