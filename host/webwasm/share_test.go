//go:build js

package webwasm

import (
	"bytes"
	"context"
	"syscall/js"
	"testing"
	"time"

	"inos/host/enginetest"
	"inos/kernel/api"
	"inos/kernel/module"
)

// A guest with a share rests for what it runs, between slices and at its end, and
// answers the same for the same gas. One without does not rest.
func TestAGuestKeepsToItsShare(t *testing.T) {
	m := load(t, newEngine(t, Config{}), enginetest.Probe(t))
	for _, tt := range []struct {
		method string
		gas    uint64 // 0: what it needs
		kind   api.Kind
	}{{"loop", 300_000_000, api.Exhausted}, {"work", 0, api.Other}, {"trap", 0, api.Trapped}} {
		run := func(share float64) (module.Result, time.Duration) {
			t.Helper()
			c := call(tt.method)
			c.Limits.Gas, c.Share = tt.gas, share
			began := time.Now()
			res, err := m.Call(t.Context(), c)
			if api.KindOf(err) != tt.kind {
				t.Fatalf("%s with a share of %v: %v", tt.method, share, err)
			}
			return res, time.Since(began)
		}
		whole, _ := run(0)
		if one, _ := run(1); whole.RestUS != 0 || one.RestUS != 0 {
			t.Errorf("%s rested %d and %d us with all of the time", tt.method, whole.RestUS, one.RestUS)
		}
		for _, share := range []float64{0.5, 0.1} {
			part, took := run(share)
			if part.Gas != whole.Gas || !bytes.Equal(part.Output, whole.Output) {
				t.Errorf("%s with a share of %v: %d gas, %q; with all %d, %q", tt.method, share, part.Gas, part.Output, whole.Gas, whole.Output)
			}
			least := float64(part.RunUS)*(1/share-1) - 10_000/share // ten milliseconds around the guest are not its
			if part.RestUS == 0 || float64(part.RestUS) < least || took < time.Duration(part.RestUS+part.RunUS)*time.Microsecond {
				t.Errorf("%s with a share of %v ran %d us and rested %d, in %v", tt.method, share, part.RunUS, part.RestUS, took)
			}
			t.Logf("%s with a share of %v ran %d us and rested %d", tt.method, share, part.RunUS, part.RestUS)
		}
	}
}

// patient has workers waited for that get little of a core.
func patient(t *testing.T) {
	was := patience
	patience = time.Minute
	t.Cleanup(func() { patience = was })
}

// Who ends a call ends a rest, and the worker goes on to serve others.
func TestARestEndsWithItsCall(t *testing.T) {
	patient(t)
	e := newEngine(t, Config{})
	m := load(t, e, enginetest.Probe(t))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	c := call("loop")
	c.Limits, c.Share = api.Limits{Gas: 1 << 50}, 1e-6 // a slice is followed by minutes of rest
	if _, err := m.Call(ctx, c); api.KindOf(err) != api.Canceled {
		t.Errorf("canceled: %v", err)
	}
	counted(t, e)
	if e.threads.all != 1 {
		t.Error("the worker had to be ended")
	}
}

// A rest is never longer than the call may be, and a guest that rested was not too
// slow itself: another node is to try.
func TestTimeRunsWhileAGuestRests(t *testing.T) {
	patient(t)
	m := load(t, newEngine(t, Config{}), enginetest.Probe(t))
	c := call("loop")
	c.Limits, c.Share = api.Limits{Gas: 1 << 50, WallMS: 1000}, 1e-6
	res, err := m.Call(t.Context(), c)
	if api.KindOf(err) != api.Unavailable || module.DefectOf(err) != nil || res.RestUS == 0 { // 0: the worker did not answer in time
		t.Errorf("%v; it ran %d us and rested %d", err, res.RunUS, res.RestUS)
	}
}

// waiting serves system calls, until a guest makes one that is to wait: that one waits
// for its call's end.
type waiting struct{ wait func(*exchange) bool }

func (w waiting) Syscall(ctx context.Context, _ []byte, g module.Guest) ([]byte, error) {
	if !w.wait(g.(*exchange)) {
		return failed(0, api.Unsupported, "not yet")
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (waiting) End(module.Guest) {}

// A guest that never rested would not have been done in time elsewhere: its time is over
// for good, also where it waits or its worker is stuck.
func TestOnlyAGuestThatRestedIsToBeTriedElsewhere(t *testing.T) {
	m := load(t, newEngine(t, Config{}), enginetest.Syscaller(t))
	c := module.Call{Unit: "test", Method: "call", Share: 0.1}
	c.Input, c.Limits, c.Syscalls = make([]byte, 8), api.Limits{WallMS: 50}, waiting{func(*exchange) bool { return true }}
	if _, err := m.Call(t.Context(), c); api.KindOf(err) != api.Timeout {
		t.Errorf("all of its time in a system call: %v", err)
	}
	c.Input, c.Limits, c.Syscalls = make([]byte, 32), api.Limits{Gas: 1 << 50, WallMS: 2000}, waiting{func(x *exchange) bool { return x.rested }}
	if _, err := m.Call(t.Context(), c); api.KindOf(err) != api.Unavailable || module.DefectOf(err) != nil {
		t.Errorf("it rested, then waited: %v", err)
	}
	for rested, want := range map[bool]api.Kind{false: api.Timeout, true: api.Unavailable} {
		x := &exchange{
			m: m, c: &c, ctx: t.Context(), t: &thread{inbox: make(chan js.Value)}, overdue: time.NewTimer(1), rested: rested,
		}
		if _, err := x.next(); api.KindOf(err) != want {
			t.Errorf("its worker is stuck; rested: %v: %v", rested, err)
		}
	}
}
