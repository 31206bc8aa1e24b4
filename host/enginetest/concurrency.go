package enginetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
)

// Many callers at once, some of whose guests fail: each gets its own answer.
func concurrentCalls(t *testing.T, mk Make) {
	m := Load(t, mk(t, Config{Workers: 4}), Probe(t))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				in := binary.LittleEndian.AppendUint64(nil, uint64(i*1000+j))
				c := Call("echo")
				c.Input = in
				res, err := m.Call(context.Background(), c)
				if err != nil || !bytes.Equal(res.Output, in) {
					t.Errorf("%x: %x, %v", in, res.Output, err)
				}
				if _, err := m.Call(context.Background(), Call("trap")); api.KindOf(err) != api.Trapped {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// Loading one module many times at once compiles it once.
func concurrentLoads(t *testing.T, mk Make) {
	e, wasm := mk(t, Config{}), Probe(t)
	var wg sync.WaitGroup
	got := make([]module.Module, 8)
	for i := range got {
		wg.Go(func() {
			m, err := e.Load(context.Background(), module.HashOf(wasm), wasm)
			if err != nil {
				t.Error(err)
			}
			got[i] = m
		})
	}
	wg.Wait()
	for _, m := range got {
		if m != got[0] {
			t.Error("one module was loaded twice")
		}
	}
}

// A caller that gives up while all workers are busy gets an answer at once.
func waiting(t *testing.T, mk Make) {
	e := mk(t, Config{Workers: 1})
	m := Load(t, e, Probe(t))
	busy, release := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c := Call("loop")
		c.Limits.Gas = 1 << 50
		_, _ = m.Call(busy, c)
	}()
	await(t, func() bool { return e.Running() == 1 })
	defer func() { release(); <-done }()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := m.Call(ctx, Call("echo")); api.KindOf(err) != api.Canceled {
		t.Errorf("got %v", err)
	}
}

// A module that nobody calls leaves memory, and comes back with the next call.
func idle(t *testing.T, mk Make) {
	e := mk(t, Config{CacheDir: t.TempDir(), IdleAfter: 10 * time.Millisecond})
	wasm := Probe(t)
	m := Load(t, e, wasm)
	await(t, func() bool { return !e.Warm(module.HashOf(wasm)) })
	if _, err := m.Call(context.Background(), Call("echo")); err != nil {
		t.Errorf("a call after idling: %v", err)
	}
}
