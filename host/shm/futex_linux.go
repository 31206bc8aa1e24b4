package shm

import (
	"context"
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"inos/kernel/epoch"
)

// Futex puts threads to sleep on words of a region, and wakes those of every
// process that maps it. It implements epoch.Futex.
//
// Source: futex(2), without FUTEX_PRIVATE_FLAG.
type Futex struct{}

const (
	futexWait = 0
	futexWake = 1

	// rewake is how soon a canceled Wait is woken again if the first wake came
	// before the thread slept.
	rewake = 50 * time.Microsecond
)

// Wait blocks a thread until word is not seen, a Wake, or the end of ctx. It may
// return for no reason.
func (Futex) Wait(ctx context.Context, word *atomic.Uint32, seen uint32) {
	if ctx.Err() != nil {
		return
	}
	var left atomic.Bool
	stop := context.AfterFunc(ctx, func() {
		// The thread may be about to sleep; wake until it has left.
		for !left.Load() {
			Futex{}.Wake(word)
			time.Sleep(rewake)
		}
	})
	// SAFETY: word outlives the call, and the system only reads it.
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWait, uintptr(seen), 0, 0, 0)
	left.Store(true)
	stop()
}

// Waker is what wakes and sleeps across processes here, or nil where the system
// offers nothing.
func Waker() epoch.Futex { return Futex{} }

// Wake ends every Wait on word, in every process.
func (Futex) Wake(word *atomic.Uint32) {
	// SAFETY: the system uses the address as a name and does not write to it.
	_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, math.MaxInt32, 0, 0, 0)
}
