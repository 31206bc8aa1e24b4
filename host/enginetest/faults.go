package enginetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/bin"
)

func faults(t *testing.T, traits Traits, mk Make) {
	m := Load(t, mk(t, Config{}), Probe(t))
	tests := []struct {
		method string
		kind   api.Kind
		words  string
	}{
		{"grow", api.Exhausted, "memory"},
		{"recu", api.Exhausted, "nested"},
		{"trap", api.Trapped, "unreachable"},
		{"0div", api.Trapped, "divide by zero"},
		{"oob", api.Trapped, "out of bounds"},
		{"badp", api.Trapped, "outside its memory"},
		{"badl", api.Trapped, "longer than"},
		{"garb", api.Trapped, "not a Response"},
		{"bado", api.Trapped, "output lies outside"},
		{"big", api.Exhausted, "output"},
		{"fail", api.Invalid, "no"},
		{"loob", api.Trapped, "logs memory"},
		{"loop", api.Exhausted, "gas"},
		{"fill", api.Exhausted, "gas"},
		{"copy", api.Exhausted, "gas"},
	}
	for _, tt := range tests {
		if tt.method == "recu" && traits.SmallStack {
			tt.kind, tt.words = api.Unavailable, "stack"
		}
		t.Run(tt.method, func(t *testing.T) {
			var gas [2]uint64
			for i := range gas {
				c := Call(tt.method)
				c.Limits = api.Limits{Gas: 50_000_000, OutputBytes: 65536}
				began := time.Now()
				res, err := m.Call(context.Background(), c)
				if api.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.words) {
					t.Fatalf("got %v, want %v with %q", err, tt.kind, tt.words)
				}
				gas[i] = res.Gas
				t.Logf("%v after %v, %d gas", err, time.Since(began), res.Gas)
			}
			if gas[0] != gas[1] || gas[0] == 0 || gas[0] > 50_000_000 {
				t.Errorf("the same failing call cost %d and %d", gas[0], gas[1])
			}
			if res, err := m.Call(context.Background(), Call("stat")); err != nil || res.Output[0] != 1 {
				t.Errorf("the next call: %v, %v", res.Output, err)
			}
		})
	}
}

// The best of five counts: a busy machine may keep the thread waiting.
func deadline(t *testing.T, mk Make) {
	const wall, slack = 50 * time.Millisecond, 20 * time.Millisecond
	m := Load(t, mk(t, Config{}), Probe(t))
	for _, method := range []string{"loop", "fill", "copy"} {
		best := time.Hour
		for range 5 {
			c := Call(method)
			c.Limits = api.Limits{Gas: 1 << 50, WallMS: uint32(wall.Milliseconds())}
			began := time.Now()
			if _, err := m.Call(context.Background(), c); api.KindOf(err) != api.Timeout {
				t.Fatalf("%s: %v", method, err)
			}
			best = min(best, time.Since(began)-wall)
			if best < slack {
				break
			}
		}
		if best > slack {
			t.Errorf("%s ran %v beyond its deadline", method, best)
		}
	}
}

func canceled(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{}), Probe(t))
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	c := Call("loop")
	c.Limits.Gas = 1 << 50
	if _, err := m.Call(ctx, c); api.KindOf(err) != api.Canceled {
		t.Errorf("got %v", err)
	}
	if _, err := m.Call(ctx, Call("echo")); api.KindOf(err) == api.Other && err != nil {
		t.Errorf("got %v", err)
	}
}

func closeStopsGuests(t *testing.T, mk Make) {
	e := mk(t, Config{Workers: 1})
	m := Load(t, e, Probe(t))
	running, done := make(chan struct{}), make(chan error)
	go func() {
		close(running)
		c := Call("loop")
		c.Limits.Gas = 1 << 50
		_, err := m.Call(context.Background(), c)
		done <- err
	}()
	<-running
	await(t, func() bool { return e.Running() > 0 })
	go func() { _ = e.Close() }()
	if err := <-done; api.KindOf(err) != api.Closed {
		t.Errorf("the running call: %v", err)
	}
	if _, err := m.Call(context.Background(), Call("echo")); api.KindOf(err) != api.Closed {
		t.Errorf("a later call: %v", err)
	}
}

func refused(t *testing.T, mk Make) {
	e := mk(t, Config{})
	raw := Raw(t, "probe")
	tests := []struct {
		name  string
		wasm  []byte
		kind  api.Kind
		words string
	}{
		{"empty", nil, api.Invalid, "not a WebAssembly module"},
		{"a picture", []byte("\x89PNG\r\n\x1a\n0000"), api.Invalid, "not a WebAssembly module"},
		{"no manifest", raw, api.Invalid, "no manifest"},
		{"two manifests", bin.AppendSection(Probe(t), bin.Custom, bin.AppendName(nil, module.Section)), api.Invalid, "more than one manifest"},
		{"hostile manifest", bin.AppendSection(raw, bin.Custom, append(bin.AppendName(nil, module.Section), 255, 255, 255, 255, 1, 2, 3, 4)), api.Invalid, "segments"},
		{"abi2", Guest(t, "abi2", "x"), api.Invalid, "inos_abi"},
		{"noalloc", Guest(t, "noalloc", "x"), api.Invalid, "inos_alloc"},
		{"signature", Guest(t, "signature", "x"), api.Invalid, "inos_alloc"},
		{"import", Guest(t, "import", "x"), api.Invalid, "env.open_file"},
		{"syscall", Guest(t, "syscall", "x"), api.Unsupported, "inos.syscall"},
		{"reserved", Guest(t, "reserved", "x"), api.Invalid, "belongs to the host"},
		{"startloop", Guest(t, "startloop", "x"), api.Exhausted, "gas"},
		{"initloop", Guest(t, "initloop", "x"), api.Exhausted, "gas"},
		{"starttrap", Guest(t, "starttrap", "x"), api.Trapped, "unreachable"},
		{"hugememory", Guest(t, "hugememory", "x"), api.Invalid, "initial memory"},
		{"hugetable", Guest(t, "hugetable", "x"), api.Invalid, "tables"},
		{"no methods", Guest(t, "abi2"), api.Invalid, "no methods"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := e.Load(context.Background(), module.HashOf(tt.wasm), tt.wasm)
			if api.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v, want %v with %q", err, tt.kind, tt.words)
			}
		})
	}
	if _, err := e.Load(context.Background(), api.Hash{1}, Probe(t)); api.KindOf(err) != api.Corrupt {
		t.Errorf("a wrong hash: %v", err)
	}
}

// What the supervisor counts: traps and starts that fail, and nothing that a
// guest reports, a limit ends or the node refuses.
func defects(t *testing.T, mk Make) {
	e := mk(t, Config{Workers: 2})
	m := Load(t, e, Probe(t))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		method string
		ctx    context.Context
		limits api.Limits
		want   bool
	}{
		{"trap", t.Context(), api.Limits{}, true},
		{"oob", t.Context(), api.Limits{}, true},
		{"garb", t.Context(), api.Limits{}, true},
		{"badp", t.Context(), api.Limits{}, true},
		{"fail", t.Context(), api.Limits{}, false},
		{"echo", t.Context(), api.Limits{}, false},
		{"nothing", t.Context(), api.Limits{}, false},
		{"loop", t.Context(), api.Limits{WallMS: 20}, false},
		{"loop", t.Context(), api.Limits{Gas: 1_000_000}, false},
		{"recu", t.Context(), api.Limits{}, false},
		{"grow", t.Context(), api.Limits{MemoryBytes: 1 << 20}, false},
		{"loop", canceled, api.Limits{}, false},
	} {
		_, err := m.Call(tt.ctx, module.Call{Unit: "test", Method: tt.method, Limits: tt.limits})
		d := module.DefectOf(err)
		if (d != nil) != tt.want || d != nil && d.Start {
			t.Errorf("%s: defect %+v of %v, want one: %v", tt.method, d, err, tt.want)
		}
		if err != nil && api.KindOf(err) == api.Other {
			t.Errorf("%s: %v lost its kind", tt.method, err)
		}
	}
	for _, name := range []string{"starttrap", "startloop"} {
		b := Guest(t, name, "x")
		_, err := e.Load(t.Context(), module.HashOf(b), b)
		if d := module.DefectOf(err); d == nil || !d.Start {
			t.Errorf("%s: %v is no failure to start", name, err)
		}
	}
	_ = e.Close()
	if _, err := m.Call(t.Context(), module.Call{Unit: "test", Method: "echo"}); module.DefectOf(err) != nil || err == nil {
		t.Errorf("a closed engine is blamed on the module: %v", err)
	}
}

// await polls until cond holds.
func await(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing happened within a minute")
		}
	}
}

// A guest that would pass its memory limit is stopped there, and what it costs
// does not depend on what it would have done next.
func memory(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{MaxMemory: 8 << 20}), Probe(t))
	for _, tt := range []struct {
		limit uint64
		kind  api.Kind
	}{{64 << 10, api.Exhausted}, {1 << 20, api.Exhausted}, {4 << 20, api.Exhausted}, {1 << 30, api.Unavailable}} {
		c := Call("grow")
		c.Limits.MemoryBytes = tt.limit
		if res, err := m.Call(context.Background(), c); api.KindOf(err) != tt.kind || !strings.Contains(err.Error(), "memory") || res.Gas > 1_000_000 {
			t.Errorf("%d bytes: %v after %d gas, want %v", tt.limit, err, res.Gas, tt.kind)
		}
	}
	c := Call("echo")
	c.Input = make([]byte, 2<<20)
	c.Limits.MemoryBytes = 4 << 20
	if res, err := m.Call(context.Background(), c); err != nil || len(res.Output) != len(c.Input) {
		t.Errorf("%d bytes, %v", len(res.Output), err)
	}
}
