package wasm

import (
	"sync"

	"inos/host/internal/machine"
	"inos/kernel/api"
	"inos/kernel/module/guest"
)

const (
	pageSize   = 64 << 10 // of WebAssembly
	maxReserve = 4 << 30  // what 32-bit addresses reach
)

// guestMemory is one instance's linear memory. The engine calls Reserve once and
// Reallocate on each growth; the instance calls the rest between calls.
//
// Invariants:
//   - The address never changes while the instance lives.
//   - Bytes beyond the guest's size are zero, not accessible, or a loan that
//     stands between calls.
type guestMemory struct {
	hard  uint64 // bytes this node gives one guest
	limit uint64 // bytes the running call may use; set before each call
	size  uint64 // bytes the guest sees
	base  uint64 // size when the image was taken
	back  bool   // Reallocate puts the size back to base instead of growing
	region

	mu     sync.Mutex // held to change what is mapped where a loan is, which others may do while the guest runs
	mapped mapped     // guarded by mu
}

// mapped is where arena memory shows in the guest's memory.
type mapped struct {
	at, size uint64 // size 0: nowhere
	write    bool
}

var _ machine.Memory = (*guestMemory)(nil)

// Reserve implements machine.Memory. An engine that needs no guard checks each
// access, so it needs no more than the guest may use.
func (g *guestMemory) Reserve(most, guard uint64) {
	if guard == 0 {
		most = min(most, g.hard)
	}
	if err := g.reserve(most + guard); err != nil {
		panic(outOfMemory(err))
	}
}

// Reallocate implements machine.Memory. A guest that passes its limit
// is stopped here rather than told -1, so no module can behave differently
// where memory is scarcer.
func (g *guestMemory) Reallocate(size uint64) []byte {
	if g.back {
		g.size = g.base
		return g.bytes(g.size)
	}
	if size > g.limit {
		panic(guest.OverMemory)
	}
	if size > g.hard {
		panic(guest.OverNode)
	}
	g.mu.Lock()
	err := g.commit(size)
	g.mu.Unlock()
	if err != nil {
		panic(outOfMemory(err))
	}
	g.size = size
	return g.bytes(size)
}

// Free gives the memory back. It may be called twice.
func (g *guestMemory) Free() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mapped = mapped{}
	g.release()
}

func outOfMemory(err error) guest.Stop {
	return guest.Stop{Kind: api.Unavailable, Msg: "this node cannot get memory for the guest: " + err.Error()}
}
