package arena

import (
	"cmp"
	"fmt"
	"slices"

	"inos/kernel/layout"
	"inos/kernel/ring"
)

// EpochInfo is an epoch cell at one moment.
type EpochInfo struct {
	Index   int
	Name    string // of cells with a fixed index
	Value   uint32
	Waiting int    // goroutines of the owner's process
	Asleep  uint32 // sleepers of other processes
}

// RingInfo is one of the arena's rings.
type RingInfo struct {
	Name string // "syscall 3", "device 0"
	ring.Usage
}

// Epochs describes the cells with a fixed index and the others in use here.
func (a *Arena) Epochs() []EpochInfo {
	for i := range layout.Cells {
		a.Epoch(i)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]EpochInfo, 0, len(a.epochs))
	for i, c := range a.epochs {
		e := EpochInfo{Index: i, Value: c.Load()}
		e.Waiting, e.Asleep = c.Waiters()
		if i < len(layout.Cells) {
			e.Name = layout.Cells[i]
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b EpochInfo) int { return cmp.Compare(a.Index, b.Index) })
	return out
}

// Rings describes the rings that were asked for.
func (a *Arena) Rings() []RingInfo {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := make([]uint64, 0, len(a.rings))
	for offset := range a.rings {
		at = append(at, offset)
	}
	slices.Sort(at)
	out := make([]RingInfo, 0, len(at))
	for _, offset := range at {
		name := fmt.Sprint("syscall ", (offset-layout.SyscallRingsOffset)/layout.SyscallRingsStride)
		if offset >= layout.DeviceRingsOffset {
			name = fmt.Sprint("device ", (offset-layout.DeviceRingsOffset)/layout.DeviceRingsStride)
		}
		out = append(out, RingInfo{name, a.rings[offset].Usage()})
	}
	return out
}
