package wasm

import (
	"context"
	"testing"

	"inos/kernel/api"
)

// A burst finds prewarmed instances; the pool returns to its size afterwards.
func TestPrewarm(t *testing.T) {
	m := load(t, newEngine(t, Config{Workers: 2}), probe(t))
	if _, err := m.Prewarm(context.Background(), MaxPrewarm+1); api.KindOf(err) != api.Invalid {
		t.Fatalf("got %v", err)
	}
	release, err := m.Prewarm(context.Background(), 20)
	if err != nil {
		t.Fatal(err)
	}
	idle := func() int {
		l, err := m.acquire(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer m.release(l)
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.free)
	}
	ready := idle()
	if ready < 20 {
		t.Fatalf("%d idle instances, want 20", ready)
	}
	for range 30 {
		if _, err := m.Call(context.Background(), call("echo")); err != nil {
			t.Fatal(err)
		}
	}
	if n := idle(); n != ready {
		t.Fatalf("%d idle instances after calls, want %d", n, ready)
	}
	release()
	release()
	if n := idle(); n != 2 {
		t.Fatalf("%d idle instances after release, want 2", n)
	}
}
