//go:build js

package webwasm

import (
	"context"
	"syscall/js"
	"testing"
	"time"

	"inos/host/enginetest"
	"inos/kernel/api"
	"inos/kernel/module"
)

// What ends a call while the kernel serves a system call of its guest ends the call:
// it is not lost to whoever heard it.
func TestTheEndIsHeardInASystemCall(t *testing.T) {
	message := func(kind string) js.Value {
		return js.ValueOf(map[string]any{"t": kind, "text": "it is gone", "code": "memory", "gas": "7", "us": 1, "frames": []any{}})
	}
	for name, tt := range map[string]struct {
		said js.Value
		want api.Kind // of await; Other: the message itself
	}{
		"Failed": {message("failed"), api.Other}, "Crashed": {message("crashed"), api.Unavailable}, "Overdue": {js.Undefined(), api.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			x := &exchange{
				m: &Module{engine: newEngine(t, Config{})}, c: &module.Call{}, ctx: t.Context(),
				t: &thread{inbox: make(chan js.Value, 1)}, overdue: time.NewTimer(time.Hour),
			}
			if tt.said.IsUndefined() {
				x.overdue.Reset(1)
			} else {
				x.t.inbox <- tt.said
			}
			if _, err := x.reply("viewed"); err == nil {
				t.Fatal("the end was taken for an answer")
			}
			type end struct {
				m   js.Value
				err error
			}
			ends := make(chan end, 1)
			go func() {
				m, err := x.await()
				ends <- end{m, err}
			}()
			select {
			case e := <-ends:
				if tt.want == api.Other {
					if e.err != nil || kind(e.m) != "failed" {
						t.Errorf("%v, %v", e.m, e.err)
					}
				} else if api.KindOf(e.err) != tt.want || !x.dead {
					t.Errorf("%v, thread lost: %v", e.err, x.dead)
				}
			case <-time.After(5 * time.Second):
				t.Error("the call goes on though its guest has ended")
			}
			if x.say(sayDone) == nil {
				t.Error("something was said to a guest that has ended")
			}
		})
	}
}

// compiling begins to load the probe, and returns when its compilation is under way.
func compiling(t *testing.T, e *Engine) (*Module, <-chan error) {
	t.Helper()
	wasm := enginetest.Probe(t)
	hash, done := module.HashOf(wasm), make(chan error, 1)
	go func() {
		_, err := e.Load(context.Background(), hash, wasm)
		done <- err
	}()
	for range 1000 {
		time.Sleep(time.Millisecond)
		e.mu.Lock()
		m := e.modules[hash]
		e.mu.Unlock()
		if m == nil || m.loading.TryLock() {
			if m != nil {
				m.loading.Unlock()
			}
			continue
		}
		return m, done
	}
	t.Fatal("the module is not being compiled")
	return nil, nil
}

// A module that is being compiled is in use: room is not made of it.
func TestCompilingIsUse(t *testing.T) {
	e := newEngine(t, Config{})
	_, done := compiling(t, e)
	e.mu.Lock()
	evicted := e.evict()
	e.mu.Unlock()
	if err := <-done; evicted || err != nil {
		t.Errorf("put away: %v; %v", evicted, err)
	}
	e.mu.Lock()
	evicted = e.evict()
	e.mu.Unlock()
	if !evicted {
		t.Error("it is still in use")
	}
}

// What is compiled for an engine that was closed meanwhile is not kept, and a module
// that was put away says so.
func TestCompiledTooLate(t *testing.T) {
	e := newEngine(t, Config{})
	m, done := compiling(t, e)
	_ = e.Close()
	if err := <-done; api.KindOf(err) != api.Closed || m.warm() {
		t.Errorf("%v, kept: %v", err, m.warm())
	}
	e = newEngine(t, Config{})
	m = load(t, e, enginetest.Probe(t))
	e.mu.Lock()
	e.evict()
	e.mu.Unlock()
	if _, err := m.Call(context.Background(), call("echo")); api.KindOf(err) != api.Unavailable {
		t.Errorf("a module that was put away: %v", err)
	}
}
