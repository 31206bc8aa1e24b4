package arena

import (
	"cmp"
	"slices"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// MaxOwners bounds how many owners may hold memory of one heap at a time.
const MaxOwners = 4096

// maxLeakSpans bounds the spans that a Leak lists.
const maxLeakSpans = 16

// HeapFaults counts what callers of Free and End did wrong since the arena was
// opened. Each one was refused or repaired; a count that moves is a defect in an
// owner.
type HeapFaults struct {
	Twice   uint64 `json:"twice"`   // frees of memory that was free already
	Foreign uint64 `json:"foreign"` // frees of another owner's memory
	Stray   uint64 `json:"stray"`   // frees of offsets at which nothing begins
	Leaks   uint64 `json:"leaks"`   // owners that ended with memory
	Leaked  uint64 `json:"leaked"`  // bytes they held, all reclaimed
}

// Leak is what an owner still held when it ended. Everything was reclaimed.
type Leak struct {
	Owner Owner  `json:"owner"`
	Spans uint64 `json:"spans"`
	Bytes uint64 `json:"bytes"`
	Peak  uint64 `json:"peak"`
	First []Span `json:"first,omitempty"` // lowest offsets, at most 16
}

// OwnerUsage is one owner's row in Owners.
type OwnerUsage struct {
	Owner Owner `json:"owner"`
	HeapUsage
}

// HeapRoom is what the heap has left.
type HeapRoom struct {
	Bytes   uint64 `json:"bytes"`   // in free blocks; cells free inside an owner's pages do not count
	Largest uint64 `json:"largest"` // the largest span that Alloc would give
	Blocks  uint64 `json:"blocks"`  // number of free blocks
}

// End reclaims everything owner still holds, as FreeAll does, and reports it. An
// owner that cleaned up gives a Leak without spans; any other is counted in
// Faults.
func (h *Heap) End(owner Owner) (Leak, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	leak := Leak{Owner: owner}
	if err := h.lease.check("arena.end"); err != nil {
		return leak, err
	}
	u := h.owners[owner]
	if u == nil {
		return leak, nil
	}
	leak.Spans, leak.Bytes, leak.Peak = u.Spans, u.Bytes, u.Peak
	if u.Spans > 0 {
		leak.First = h.spansOf(owner, maxLeakSpans)
		h.faults.Leaks++
		h.faults.Leaked += u.Bytes
	}
	h.reclaim(owner)
	return leak, nil
}

// spansOf lists up to most spans of owner by offset. The caller holds mu.
func (h *Heap) spansOf(owner Owner, most int) []Span {
	var out []Span
	for page := range h.blocks {
		b := &h.blocks[page]
		if b.owner != owner || b.kind != pageWhole && b.kind != pageSlab {
			continue
		}
		at := h.base + uint64(page)*layout.Page
		if b.kind == pageWhole {
			out = append(out, Span{at, layout.Page << b.order})
		}
		for cell := uint64(0); b.kind == pageSlab && cell < layout.Page>>b.shift; cell++ {
			if b.used>>cell&1 == 1 {
				out = append(out, Span{at + cell<<b.shift, 1 << b.shift})
			}
		}
		if len(out) >= most {
			return out[:most]
		}
	}
	return out
}

// isFree reports whether a cell or page that could have been handed out begins at
// inPage of page and is free. The caller holds mu.
func (h *Heap) isFree(page uint32, inPage uint64) bool {
	b := &h.blocks[page]
	switch b.kind {
	case pageSlab:
		return inPage%(1<<b.shift) == 0
	case pageFree:
		return inPage%(1<<minShift) == 0
	case pageInside:
		at, ok := h.blockAt(page)
		return ok && h.blocks[at].kind == pageFree && inPage%(1<<minShift) == 0
	}
	return false
}

// blockAt finds the first page of the block that page lies in.
func (h *Heap) blockAt(page uint32) (uint32, bool) {
	for order := uint8(0); order <= maxOrder; order++ {
		at := page &^ (1<<order - 1)
		if b := &h.blocks[at]; b.kind != pageInside {
			return at, page-at < 1<<b.order
		}
	}
	return 0, false
}

// Owners lists who holds memory or has a limit, the largest holder first.
func (h *Heap) Owners() []OwnerUsage {
	h.mu.Lock()
	out := make([]OwnerUsage, 0, len(h.owners))
	for o, u := range h.owners {
		out = append(out, OwnerUsage{o, *u})
	}
	h.mu.Unlock()
	slices.SortFunc(out, func(a, b OwnerUsage) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Owner, b.Owner))
	})
	return out
}

// Faults returns the counts of mistakes.
func (h *Heap) Faults() HeapFaults {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.faults
}

// Room returns what is free.
func (h *Heap) Room() HeapRoom {
	h.mu.Lock()
	defer h.mu.Unlock()
	var r HeapRoom
	for order := range h.free {
		if n := h.free[order].count(); n > 0 {
			r.Blocks += n
			r.Bytes += n * (layout.Page << order)
			r.Largest = layout.Page << order
		}
	}
	return r
}

// NewOwner numbers a new owner: a module instance, a lease. Numbers are not used
// again while the arena is open. Below firstOwner are the kernel's fixed ones.
func (a *Arena) NewOwner() Owner { return Owner(a.owners.Add(1) + firstOwner - 1) }

const firstOwner = 1 << 16

// lastOwner counts the numbers of NewOwner up to the highest that still holds
// memory, which an earlier process of this arena handed out.
func (h *Heap) lastOwner() (n uint32) {
	for o := range h.owners {
		if o >= firstOwner && o < 1<<31 { // beyond, somebody scribbled
			n = max(n, uint32(o)-firstOwner+1)
		}
	}
	return n
}

// EndOwner removes owner's state buffers and reclaims its heap memory. What it
// reports as a Leak is what was left beside state buffers.
func (a *Arena) EndOwner(owner Owner) (Leak, error) {
	if owner == 0 || owner == KernelOwner {
		return Leak{}, api.Errorf("arena.endowner", api.Invalid, "the kernel does not end before its arena")
	}
	a.states.end(owner)
	return a.heap.End(owner)
}
