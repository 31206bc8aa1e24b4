package supervise

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"inos/kernel/api"
)

func machine(t testing.TB, c Config) *Machine {
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{Modules: 257}, {Modules: -1}, {CrashPayers: 1}, {Payers: 2}, {BackoffFirst: 10, BackoffMost: 5}, {Window: -1}} {
		if _, err := New(c); api.KindOf(err) != api.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The wait doubles, stays between half and all of its bound, and never passes
// the longest.
func TestBackoff(t *testing.T) {
	c, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 100; n++ {
		most := c.BackoffMost
		if n < 8 {
			most = c.BackoffFirst << (n - 1)
		}
		seen := map[int64]bool{}
		for random := range uint64(1000) {
			w := c.backoff(n, random*0x9e3779b97f4a7c15)
			if w < most/2 || w > most {
				t.Fatalf("wait %d is %d ms, want %d to %d", n, w, most/2, most)
			}
			seen[w] = true
		}
		if len(seen) < 50 {
			t.Errorf("wait %d has only %d values", n, len(seen))
		}
	}
}

// model plays random calls of payers 0..4 against a machine and keeps the plain
// truth about what runs.
type model struct {
	m       *Machine
	now     int64
	waiting map[int]call
	running map[int]call
	next    int
	log     []string
}

type call struct {
	module, payer int
	incarnation   uint64
}

func (d *model) step(ev Event) (refused bool) {
	for _, e := range d.m.Step(d.now, ev) {
		d.log = append(d.log, fmt.Sprintf("%T%+v", e, e))
		if _, ok := e.(Refused); ok {
			refused = true
		}
	}
	return refused
}

func id(n int) api.NodeID   { return api.NodeID{byte(n + 1)} }
func module(n int) api.Hash { return api.Hash{byte(n + 1)} }

// one performs the action with number what on a random call; outcomes says what
// may come of payer p's calls.
func (d *model) one(t *rapid.T, outcomes func(p int) []Outcome) {
	switch rapid.IntRange(0, 4).Draw(t, "what") {
	case 0:
		c := call{module: rapid.IntRange(0, 2).Draw(t, "module"), payer: rapid.IntRange(0, 4).Draw(t, "payer")}
		if !d.step(Arrived{module(c.module), id(c.payer)}) {
			d.waiting[d.next] = c
			d.next++
		}
	case 1:
		if k, c, ok := pick(t, d.waiting); ok {
			delete(d.waiting, k)
			c.incarnation = d.m.Incarnation(module(c.module))
			if !d.step(Began{module(c.module), id(c.payer)}) {
				d.running[k] = c
			}
		}
	case 2:
		if k, c, ok := pick(t, d.waiting); ok {
			delete(d.waiting, k)
			d.step(Left{module(c.module)})
		}
	case 3:
		if k, c, ok := pick(t, d.running); ok {
			delete(d.running, k)
			d.step(Ended{
				Module: module(c.module), Payer: id(c.payer), Incarnation: c.incarnation, Reason: "broken",
				Input: api.Hash{byte(rapid.IntRange(0, 20).Draw(t, "input"))}, Outcome: rapid.SampledFrom(outcomes(c.payer)).Draw(t, "outcome"),
				Gas: 1, Random: rapid.Uint64().Draw(t, "random"),
			})
		}
	default:
		d.now += int64(rapid.IntRange(0, 2000).Draw(t, "ms"))
	}
}

func pick(t *rapid.T, calls map[int]call) (int, call, bool) {
	if len(calls) == 0 {
		return 0, call{}, false
	}
	keys := make([]int, 0, len(calls))
	for k := range calls {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	k := rapid.SampledFrom(keys).Draw(t, "call")
	return k, calls[k], true
}

func newModel(m *Machine) *model {
	return &model{m: m, now: 1_000, waiting: map[int]call{}, running: map[int]call{}}
}

// Whatever happens, the counts are true, the tables bounded, and quarantine ends
// by Reset alone.
func TestRandomUse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{Modules: 2, Payers: 3, CrashInputs: 3, PayerCrashes: 4, PayerFree: 2, StartCrashes: 3}
		m, _ := New(cfg)
		d := newModel(m)
		all := func(int) []Outcome { return []Outcome{Neutral, Success, Trap, StartCrash} }
		quarantined := map[int]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.IntRange(0, 50).Draw(t, "reset") == 0 {
				n := rapid.IntRange(0, 2).Draw(t, "module")
				d.step(Reset{module(n)})
				quarantined[n] = false
			}
			d.one(t, all)
			for n := range 3 {
				v, ok := m.View(module(n))
				if !ok {
					quarantined[n] = false // made room
					continue
				}
				waiting, running := 0, 0
				for _, c := range d.waiting {
					if c.module == n {
						waiting++
					}
				}
				for _, c := range d.running {
					if c.module == n {
						running++
					}
				}
				if v.Queued != waiting || v.Running != running {
					t.Fatalf("module %d: %d queued and %d running, want %d and %d", n, v.Queued, v.Running, waiting, running)
				}
				if quarantined[n] && v.State != Quarantined {
					t.Fatalf("module %d left quarantine for %s without a reset", n, v.State)
				}
				quarantined[n] = v.State == Quarantined
				s := m.table[module(n)]
				if len(s.payers) > cfg.Payers || len(s.inputs) > cfg.CrashInputs {
					t.Fatalf("%d payers and %d inputs are remembered", len(s.payers), len(s.inputs))
				}
			}
			if m.Len() > cfg.Modules || m.Len()+len(m.free) != cfg.Modules {
				t.Fatalf("%d supervisors and %d free slots", m.Len(), len(m.free))
			}
		}
	})
}

// Payer 0 and payer 1 do their worst; the others' calls are never refused, as long as the
// module starts and they get an answer now and then.
func TestOthersAreNotHurt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, _ := New(Config{})
		d := newModel(m)
		outcomes := func(p int) []Outcome {
			if p < 2 {
				return []Outcome{Trap}
			}
			return []Outcome{Neutral, Success}
		}
		for range rapid.IntRange(100, 400).Draw(t, "steps") {
			before := len(d.log)
			d.one(t, outcomes)
			for n := range 3 {
				for p := 2; p < 5; p++ {
					if s := m.table[module(n)]; s != nil && !m.allowed(s, id(p)) {
						t.Fatalf("payer %d is refused module %d: %v", p, n, d.log[before:])
					}
				}
			}
		}
	})
}

// Equal events at equal times with equal random numbers give equal effects.
func TestDeterminism(t *testing.T) {
	run := func(seed int) []string {
		d := newModel(machine(t, Config{PayerCrashes: 5, CrashInputs: 4}))
		x := uint64(seed)
		for range 2000 {
			x = x*6364136223846793005 + 1442695040888963407
			h, p := module(int(x>>33)%3), id(int(x>>40)%5)
			d.now += int64(x >> 54)
			if d.step(Arrived{h, p}) {
				continue
			}
			inc := d.m.Incarnation(h)
			if !d.step(Began{h, p}) {
				d.step(Ended{Module: h, Payer: p, Input: api.Hash{byte(x >> 20)}, Incarnation: inc, Outcome: Outcome(x>>50) % 4, Random: x})
			}
			if x>>58 == 0 {
				d.step(Reset{h})
			}
		}
		return d.log
	}
	for seed := range 20 {
		a, b := run(seed), run(seed)
		if !slices.Equal(a, b) || len(a) == 0 {
			t.Fatalf("seed %d: two runs differ, or nothing happened", seed)
		}
	}
}
