package syscall

import (
	"context"
	"errors"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/wire"
)

// account is what a call and its threads use together.
//
// While a guest waits in a system call it burns no gas, so waiting is free for
// whoever pays for gas, and it holds a place that others want. So time waited is
// drawn from an allowance. What is achieved gives some of it back: a call that
// makes progress may go on for as long as its limits say.
type account struct {
	mu    sync.Mutex
	count int           // guarded by mu; objects stored
	bytes uint64        // guarded by mu; of them
	left  time.Duration // guarded by mu; of the time that it may wait, at most most
	most  time.Duration
}

// What a system call that was served gives back of the time that it took.
const (
	perServed = 20 * time.Millisecond
	perByte   = time.Second / (1 << 20) // 1 MiB a second is progress
)

func newAccount(r Rule) *account {
	w := r.wait()
	return &account{left: w, most: w}
}

// keep counts an object of size bytes against the call's bounds.
func (a *account) keep(size, limit uint64) *refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.count >= maxStored:
		return &refusal{Limited, "one call stores at most 64 objects; store fewer, larger ones"}
	case a.bytes+size > limit:
		return &refusal{Limited, "what the call stores is more than its output limit; raise the limit"}
	}
	a.count++
	a.bytes += size
	return nil
}

func (a *account) allowance() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left
}

// waited draws what a system call took; served gives back.
func (a *account) waited(took time.Duration, served bool, moved uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left -= took
	if served {
		a.left += min(took, perServed+time.Duration(moved)*perByte)
	}
	a.left = min(a.left, a.most)
}

// wait dispatches a request for as long as the call may still wait.
func (s *Session) wait(ctx context.Context, op wire.SyscallOp, g module.Guest) (wire.SyscallResult, error) {
	a := s.caller.account
	left := a.allowance()
	if left <= 0 {
		return nil, &refusal{Waited, "the call and its threads have waited in system calls for as long as this node lets them; wait less, or have its owner raise wait"}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, left, errWaited)
	defer cancel()
	began := s.k.cfg.Now()
	r, moved, err := s.dispatch(ctx, op, g)
	a.waited(time.Duration(s.k.cfg.Now()-began), err == nil, moved)
	if err != nil && errors.Is(context.Cause(ctx), errWaited) {
		return nil, errWaited
	}
	return r, err
}

var errWaited = api.Errorf("syscall.wait", api.Timeout, "the call waited in system calls for as long as this node lets it; wait less, or have its owner raise wait")
