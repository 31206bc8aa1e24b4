package wasm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/sys"

	"inos/host/internal/machine"
	"inos/kernel/api"
	"inos/kernel/module/guest"
	"inos/kernel/module/meter"
)

func asError(r any) error {
	if err, ok := r.(error); ok {
		return err
	}
	return fmt.Errorf("%v", r)
}

// failure turns the engine's error into a typed one. Everything that we did not
// cause ourselves is the module's own defect.
func failure(op string, err error) error {
	var stop guest.Stop
	if errors.As(err, &stop) {
		return stop.In(op)
	}
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return api.Errorf(op, api.Trapped, fmt.Sprintf("the module exited with code %d instead of answering", exit.ExitCode()))
	}
	if errors.Is(err, machine.ErrStack) {
		return guest.TooDeep.In(op)
	}
	var trap machine.Trap
	if !errors.As(err, &trap) {
		trap = wazeroTrap(err)
	}
	return guest.Trap(trap.Text, trap.Frames).In(op)
}

// wazeroTrap reads wazero's text: the trap, then a line for each function.
func wazeroTrap(err error) machine.Trap {
	lines := strings.Split(err.Error(), "\n")
	t := machine.Trap{Text: strings.TrimPrefix(strings.TrimSuffix(lines[0], " (recovered by wazero)"), "wasm error: ")}
	for _, l := range lines[1:] {
		if strings.HasPrefix(l, "\t") {
			name, _, _ := strings.Cut(strings.TrimSpace(l), "(")
			t.Frames = append(t.Frames, strings.TrimPrefix(name, "."))
		}
	}
	return t
}

// begin starts the clock and the gas of a call, now.
func (r *run) begin(ctx context.Context, gas uint64, wall time.Duration) (now time.Time) {
	now = time.Now()
	*r = run{limit: gas, deadline: now.Add(wall), ctx: ctx, done: ctx.Done()}
	r.granted = min(meter.Slice, gas)
	return now
}

// refill gives the guest its current grant.
func (in *instance) refill() { in.gas.Set(in.run.granted) }

// slice serves the import that metered code calls: it settles the slice, decides
// whether the guest goes on, and returns the next grant.
//
// Invariant: whether gas is exhausted depends on gas alone, so it is decided
// before the clock is read.
func (in *instance) slice(left int64, reason uint32) uint64 {
	r := &in.run
	r.settle(left)
	r.granted = 0 // settled: a panic below must not count it again
	if in.gas != nil {
		in.gas.Set(0)
	}
	switch {
	case reason == meter.ReasonStack:
		panic(guest.TooDeep)
	case reason == meter.ReasonTable:
		panic(guest.TableFull)
	case r.spent > r.limit:
		panic(guest.OutOfGas)
	}
	r.checkTime(in.live.engine.ctx)
	r.granted = min(meter.Slice, r.limit-r.spent)
	if in.gas != nil { // a trap before the next store must find the right gas
		in.gas.Set(r.granted)
	}
	return r.granted
}

// checkTime stops the guest when its time is up or nobody wants the answer.
func (r *run) checkTime(engine context.Context) {
	select {
	case <-r.done:
		panic(guest.Stop{Kind: api.KindOf(r.ctx.Err()), Msg: "the call was canceled while the guest ran"})
	case <-engine.Done():
		panic(guest.Stopping)
	default:
	}
	if time.Now().After(r.deadline) {
		panic(guest.OverTime)
	}
}

// settle moves what the guest has used of its slice to spent.
func (r *run) settle(left int64) { r.spent += uint64(int64(r.granted) - left) }

// charge takes gas for work that the host does for the guest. It is settled
// with the slice.
func (in *instance) charge(gas uint64) {
	if in.gas != nil {
		in.gas.Set(uint64(int64(in.gas.Get()) - int64(gas)))
	}
}

// used is the gas of the call so far, at most its limit.
func (in *instance) used() uint64 {
	in.run.settle(int64(in.gas.Get()))
	in.run.granted = 0
	in.gas.Set(0)
	return min(in.run.spent, in.run.limit)
}
