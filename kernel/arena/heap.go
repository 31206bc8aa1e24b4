package arena

import (
	"math/bits"
	"sync"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// Owner says whose memory an allocation is. The kernel numbers owners; 0 is
// nobody.
type Owner uint32

// KernelOwner is the kernel itself.
const KernelOwner Owner = 1

// Sizes of the heap.
const (
	minShift = 6  // the smallest cell has one cache line
	maxShift = 11 // the largest cell is half a page
	maxOrder = 16 // the largest block has 2^16 pages, 256 MiB
)

// Kinds of page, as stored.
const (
	pageInside = iota
	pageFree
	pageWhole // first page of one allocation
	pageSlab  // cells of one size and owner
)

// Span is memory handed out: Len bytes at offset Off of the arena.
type Span struct {
	Off, Len uint64
}

// HeapUsage is what an owner, or everybody, has allocated.
type HeapUsage struct {
	Bytes  uint64 `json:"bytes"`  // in spans, as rounded up
	Spans  uint64 `json:"spans"`  // number of allocations
	Peak   uint64 `json:"peak"`   // most bytes at once
	Limit  uint64 `json:"limit"`  // most bytes; 0 means none but the heap's size
	Denied uint64 `json:"denied"` // allocations refused for want of memory or by the limit
}

// Heap hands out memory of the arena. Sizes up to 2 KiB are rounded up to a
// power of two and cut from pages that belong to one owner alone; larger ones are
// rounded up to a power of two of 4 KiB pages and come from a binary buddy
// system. A span begins at a multiple of its size, up to 64 KiB, so one of 64 KiB
// or more can be lent to a guest as whole WebAssembly pages.
//
// Invariants:
//   - blocks describes every page and is the truth; the page table in the arena
//     is a copy for other readers and the next owner, and never read after open.
//   - The blocks tile the pages: each starts at a multiple of its size. No two
//     free buddies exist side by side.
//   - Each change of the table is one atomic store that leaves it consistent, so
//     that the next owner can use it wherever this one stopped.
//   - A page of cells has at least one cell in use, and all in use are one owner's.
//
// Sources: Knowlton, "A Fast Storage Allocator", CACM 8(10), 1965; Bonwick, "The
// Slab Allocator", USENIX 1994.
type Heap struct {
	lease *lease
	cell  *epoch.Cell
	mem   []byte // the pages
	base  uint64 // offset of mem in the arena
	table []byte // layout.HeapPageSize bytes per page

	mu     sync.Mutex
	blocks []block               // mu: by page; only a block's first page is set
	free   [maxOrder + 1]pageSet // mu: first pages of free blocks, by order
	slabs  map[slabKey]uint32    // mu: first page with a cell to give, plus one
	owners map[Owner]*HeapUsage  // mu; at most MaxOwners
	peak   uint64                // mu: most bytes of all owners at once
	bytes  uint64                // mu: of all owners
	faults HeapFaults            // mu
}

// block describes the block that starts at a page, as layout's heapPage, and
// links slabs that have cells to give.
type block struct {
	kind, order, shift uint8
	owner              Owner
	used               uint64
	prev, next         uint32 // page + 1; 0 ends the list
}

type slabKey struct {
	owner Owner
	shift uint8
}

// cells is the bit set of a slab's cells when all are in use.
func (b *block) cells() uint64 {
	return ^uint64(0) >> (64 - (layout.Page >> b.shift))
}

// Alloc returns n bytes of zeroed memory for owner, or more: Span.Len is n
// rounded up. Errors: Invalid for n = 0 or owner 0; Exhausted when the owner's
// limit or the heap does not allow it; Closed or Conflict if the arena is no
// longer ours. Await Heap.Epoch to try again after the next Free.
func (h *Heap) Alloc(owner Owner, n uint64) (Span, error) {
	const op = "arena.alloc"
	if n == 0 || owner == 0 {
		return Span{}, api.Errorf(op, api.Invalid, "an allocation has an owner and at least one byte")
	}
	h.mu.Lock()
	span, err := h.alloc(op, owner, n)
	h.mu.Unlock()
	if err != nil {
		return Span{}, err
	}
	clear(h.Bytes(span)) // what an earlier owner wrote is not for this one
	return span, nil
}

func (h *Heap) alloc(op string, owner Owner, n uint64) (Span, error) {
	if err := h.lease.check(op); err != nil {
		return Span{}, err
	}
	if h.owners[owner] == nil && len(h.owners) >= MaxOwners {
		return Span{}, api.Errorf(op, api.Exhausted, "the arena's heap has as many owners as it allows; end some")
	}
	u := h.usage(owner)
	if n > uint64(len(h.mem)) {
		u.Denied++
		return Span{}, api.Errorf(op, api.Exhausted, "the request is larger than the arena's heap")
	}
	size := roundUp(n)
	if u.Limit != 0 && u.Bytes+size > u.Limit {
		u.Denied++
		return Span{}, api.Errorf(op, api.Exhausted, "the owner's limit of arena memory is reached")
	}
	at, ok := h.take(owner, size)
	if !ok {
		u.Denied++
		return Span{}, api.Errorf(op, api.Exhausted, "the arena's heap is full; free memory or use a larger tier")
	}
	h.charge(u, size, 1)
	return Span{Off: h.base + at, Len: size}, nil
}

func (h *Heap) take(owner Owner, size uint64) (at uint64, ok bool) {
	if size < layout.Page {
		return h.takeCell(owner, uint8(bits.TrailingZeros64(size)))
	}
	order := uint8(bits.TrailingZeros64(size / layout.Page))
	page, ok := h.takeBlock(order)
	if ok {
		h.set(page, block{kind: pageWhole, order: order, owner: owner})
	}
	return uint64(page) * layout.Page, ok
}

// roundUp is the size of the span that holds n bytes.
func roundUp(n uint64) uint64 {
	if n <= 1<<minShift {
		return 1 << minShift
	}
	return 1 << bits.Len64(n-1)
}

// Free takes back the span at off, which owner allocated. Errors: Invalid if no
// allocation begins there or it was freed already; Denied if it is another
// owner's; Closed or Conflict if the arena is no longer ours. On an error
// nothing changes but the count of such faults.
func (h *Heap) Free(owner Owner, off uint64) error {
	const op = "arena.free"
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.lease.check(op); err != nil {
		return err
	}
	if off < h.base || off-h.base >= uint64(len(h.mem)) {
		h.faults.Stray++
		return api.Errorf(op, api.Invalid, "the offset is not in the arena's heap")
	}
	at := off - h.base
	page := uint32(at / layout.Page)
	b := &h.blocks[page]
	if (b.kind == pageWhole || b.kind == pageSlab) && b.owner != owner {
		h.faults.Foreign++
		return api.Errorf(op, api.Denied, "the memory belongs to another owner")
	}
	switch inPage := at % layout.Page; {
	case b.kind == pageWhole && inPage == 0:
		h.account(owner, layout.Page<<b.order)
		h.giveBlock(page, b.order)
	case b.kind == pageSlab && inPage%(1<<b.shift) == 0 && b.used>>(inPage>>b.shift)&1 == 1:
		h.account(owner, 1<<b.shift)
		h.giveCell(page, inPage>>b.shift)
	case h.isFree(page, inPage):
		h.faults.Twice++
		return api.Errorf(op, api.Invalid, "the memory is free already; it was freed twice")
	default:
		h.faults.Stray++
		return api.Errorf(op, api.Invalid, "no allocation begins there; free the offset that Alloc returned")
	}
	h.cell.Advance()
	return nil
}

// FreeAll takes back everything owner has, and forgets its limit; it returns the
// number of bytes. It is how a module's memory ends with the module, and keeps
// the table of owners as small as the set of living ones.
func (h *Heap) FreeAll(owner Owner) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.lease.check("arena.freeall"); err != nil {
		return 0, err
	}
	u := h.owners[owner]
	if u == nil {
		return 0, nil
	}
	h.reclaim(owner)
	return u.Bytes, nil
}

// reclaim frees every block of owner and forgets it. The caller holds mu.
func (h *Heap) reclaim(owner Owner) {
	for page := range h.blocks {
		b := &h.blocks[page]
		if b.owner != owner || b.kind == pageInside || b.kind == pageFree {
			continue
		}
		if b.kind == pageSlab && b.used != b.cells() {
			h.unlist(uint32(page))
		}
		h.giveBlock(uint32(page), b.order)
	}
	h.bytes -= h.owners[owner].Bytes
	delete(h.owners, owner)
	h.cell.Advance()
}

// SetLimit bounds what owner may hold from now on; 0 lifts the bound. Memory it
// already holds stays.
func (h *Heap) SetLimit(owner Owner, bytes uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.usage(owner).Limit = bytes
}

// Usage returns what owner holds.
func (h *Heap) Usage(owner Owner) HeapUsage {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.owners[owner]; u != nil {
		return *u
	}
	return HeapUsage{}
}

// Total returns what all owners hold; its limit is the heap's size.
func (h *Heap) Total() HeapUsage {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := HeapUsage{Bytes: h.bytes, Peak: h.peak, Limit: uint64(len(h.mem))}
	for _, u := range h.owners {
		t.Spans += u.Spans
		t.Denied += u.Denied
	}
	return t
}

// Epoch advances when memory is freed.
func (h *Heap) Epoch() *epoch.Cell { return h.cell }

// Bytes returns the memory of s, which Alloc returned. It aliases the arena: it
// is the caller's until Free or until the arena is unmapped. A span outside the
// heap panics.
func (h *Heap) Bytes(s Span) []byte {
	at := s.Off - h.base
	return h.mem[at : at+s.Len : at+s.Len]
}

func (h *Heap) usage(owner Owner) *HeapUsage {
	u := h.owners[owner]
	if u == nil {
		u = new(HeapUsage)
		h.owners[owner] = u
	}
	return u
}

// account takes a freed span off owner's usage.
func (h *Heap) account(owner Owner, size uint64) {
	u := h.usage(owner)
	u.Bytes -= size
	u.Spans--
	h.bytes -= size
}

// charge adds spans to an owner's usage.
func (h *Heap) charge(u *HeapUsage, size, spans uint64) {
	u.Bytes += size
	u.Spans += spans
	u.Peak = max(u.Peak, u.Bytes)
	h.bytes += size
	h.peak = max(h.peak, h.bytes)
}
