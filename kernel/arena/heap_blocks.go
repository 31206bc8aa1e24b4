package arena

import (
	"math/bits"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// heapPages divides a heap region of size bytes into the page table, padded to
// a window, and pages.
func heapPages(size uint64) (pages uint32, table uint64) {
	table = layout.AlignUp(size/layout.Page*layout.HeapPageSize, layout.Window)
	return uint32((size - table) / layout.Page), table
}

// formatHeap makes the zeroed region one run of free blocks, each as large as
// its position and the end of the heap allow.
func formatHeap(region []byte) {
	pages, table := heapPages(uint64(len(region)))
	h := Heap{table: region[:table], blocks: make([]block, pages)}
	for page := uint32(0); page < pages; {
		order := min(largestAt(page), uint8(bits.Len32(pages-page)-1))
		h.set(page, block{kind: pageFree, order: order})
		page += 1 << order
	}
}

// largestAt is the order of the largest block that may start at page.
func largestAt(page uint32) uint8 {
	if page == 0 {
		return maxOrder
	}
	return min(maxOrder, uint8(bits.TrailingZeros32(page)))
}

// openHeap builds the allocator's state from the page table of region, which
// begins at offset base of the arena. Corrupt if the table breaks a rule.
func openHeap(region []byte, base uint64, l *lease, cell *epoch.Cell) (*Heap, error) {
	pages, table := heapPages(uint64(len(region)))
	h := &Heap{
		lease: l, cell: cell, mem: region[table : table+uint64(pages)*layout.Page], base: base + table,
		table: region[:table], blocks: make([]block, pages),
		slabs: make(map[slabKey]uint32), owners: make(map[Owner]*HeapUsage),
	}
	for order := range h.free {
		h.free[order].init(pages, uint8(order))
	}
	for page := uint32(0); page < pages; {
		b, ok := h.load(page)
		if !ok {
			return nil, api.Errorf("arena.openheap", api.Corrupt, "the heap's page table is damaged; restart the node to make a new arena")
		}
		h.adopt(page, b)
		page += 1 << b.order
	}
	return h, nil
}

// load reads and checks the table's description of the block at page.
func (h *Heap) load(page uint32) (block, bool) {
	words := layout.Words(h.table[uint64(page)*layout.HeapPageSize:][:layout.HeapPageSize])
	head, used := words[0].Load(), words[1].Load()
	b := block{kind: uint8(head), order: uint8(head >> 8), shift: uint8(head >> 16), owner: Owner(head >> 32)}
	if b.order > largestAt(page) || uint64(page)+1<<b.order > uint64(len(h.blocks)) {
		return b, false
	}
	switch b.kind {
	case pageFree:
		return b, b.owner == 0
	case pageWhole:
		return b, b.owner != 0
	case pageSlab:
		if b.order != 0 || b.owner == 0 || b.shift < minShift || b.shift > maxShift {
			return b, false
		}
		b.used = used
		return b, used != 0 && used&^b.cells() == 0
	default:
		return b, false
	}
}

// adopt takes a checked block into the allocator's state.
func (h *Heap) adopt(page uint32, b block) {
	if b.kind == pageFree {
		h.giveBlock(page, b.order)
		return
	}
	h.blocks[page] = b
	u := h.usage(b.owner)
	if b.kind == pageWhole {
		h.charge(u, layout.Page<<b.order, 1)
		return
	}
	n := uint64(bits.OnesCount64(b.used))
	h.charge(u, n<<b.shift, n)
	if b.used != b.cells() {
		h.list(page)
	}
}

// set records the block that starts at page, here and in the arena. The used
// set goes first: the head word makes it mean something.
func (h *Heap) set(page uint32, b block) {
	h.blocks[page] = b
	words := layout.Words(h.table[uint64(page)*layout.HeapPageSize:][:layout.HeapPageSize])
	if b.kind == pageSlab {
		words[1].Store(b.used)
	}
	words[0].Store(uint64(b.kind) | uint64(b.order)<<8 | uint64(b.shift)<<16 | uint64(b.owner)<<32)
}

// takeBlock removes a free block of the given order from the free ones,
// splitting a larger one if need be. The caller must set its page.
func (h *Heap) takeBlock(order uint8) (page uint32, ok bool) {
	for have := order; have <= maxOrder; have++ {
		if page, ok = h.free[have].first(); !ok {
			continue
		}
		h.free[have].remove(page)
		// The right halves are described while they still lie inside the block;
		// the caller's set shrinks the block and reveals them all at once.
		for have > order {
			have--
			right := page + 1<<have
			h.set(right, block{kind: pageFree, order: have})
			h.free[have].add(right)
		}
		return page, true
	}
	return 0, false
}

// giveBlock frees the block at page and merges it with free buddies.
func (h *Heap) giveBlock(page uint32, order uint8) {
	h.blocks[page] = block{}
	for order < maxOrder {
		buddy := page ^ 1<<order
		if !h.free[order].has(buddy) {
			break
		}
		h.free[order].remove(buddy)
		h.blocks[buddy] = block{}
		page &^= 1 << order
		order++
	}
	h.set(page, block{kind: pageFree, order: order})
	h.free[order].add(page)
}

// takeCell hands out a cell of 2^shift bytes from one of owner's slabs, making
// one if none has a cell to give.
func (h *Heap) takeCell(owner Owner, shift uint8) (at uint64, ok bool) {
	head := h.slabs[slabKey{owner, shift}]
	if head == 0 {
		page, ok := h.takeBlock(0)
		if !ok {
			return 0, false
		}
		h.set(page, block{kind: pageSlab, shift: shift, owner: owner, used: 1})
		h.list(page)
		return uint64(page) * layout.Page, true
	}
	page := head - 1
	b := &h.blocks[page]
	cell := uint64(bits.TrailingZeros64(^b.used))
	h.mark(page, b.used|1<<cell)
	if b.used == b.cells() {
		h.unlist(page)
	}
	return uint64(page)*layout.Page + cell<<shift, true
}

// giveCell frees a cell in use, and its page when it was the last.
func (h *Heap) giveCell(page uint32, cell uint64) {
	b := &h.blocks[page]
	full := b.used == b.cells()
	left := b.used &^ (1 << cell)
	switch {
	case left == 0:
		if !full {
			h.unlist(page)
		}
		h.giveBlock(page, 0)
		return
	case full:
		h.list(page)
	}
	h.mark(page, left)
}

// mark records which cells of a slab are in use.
func (h *Heap) mark(page uint32, used uint64) {
	h.blocks[page].used = used
	layout.U64(h.table, uint64(page)*layout.HeapPageSize+layout.HeapPageAtUsed).Store(used)
}

// list puts a slab with a cell to give at the head of its list.
func (h *Heap) list(page uint32) {
	b := &h.blocks[page]
	key := slabKey{b.owner, b.shift}
	b.prev, b.next = 0, h.slabs[key]
	if b.next != 0 {
		h.blocks[b.next-1].prev = page + 1
	}
	h.slabs[key] = page + 1
}

// unlist takes a slab off its list.
func (h *Heap) unlist(page uint32) {
	b := &h.blocks[page]
	switch key := (slabKey{b.owner, b.shift}); {
	case b.prev != 0:
		h.blocks[b.prev-1].next = b.next
	case b.next != 0:
		h.slabs[key] = b.next
	default:
		delete(h.slabs, key)
	}
	if b.next != 0 {
		h.blocks[b.next-1].prev = b.prev
	}
	b.prev, b.next = 0, 0
}

// pageSet is the set of free blocks of one order: a bit per block that could be,
// indexed by page >> order. It yields the lowest, which keeps the heap dense.
type pageSet struct {
	order uint8
	bits  []uint64
	low   int // no bit is set in words below it
}

func (s *pageSet) init(pages uint32, order uint8) {
	s.order = order
	s.bits = make([]uint64, (uint64(pages)>>order+64)/64)
	s.low = len(s.bits)
}

func (s *pageSet) has(page uint32) bool {
	i := page >> s.order
	return int(i/64) < len(s.bits) && s.bits[i/64]>>(i%64)&1 == 1
}

func (s *pageSet) add(page uint32) {
	i := page >> s.order
	s.bits[i/64] |= 1 << (i % 64)
	s.low = min(s.low, int(i/64))
}

func (s *pageSet) remove(page uint32) {
	i := page >> s.order
	s.bits[i/64] &^= 1 << (i % 64)
}

func (s *pageSet) count() (n uint64) {
	for _, w := range s.bits {
		n += uint64(bits.OnesCount64(w))
	}
	return n
}

func (s *pageSet) first() (page uint32, ok bool) {
	for ; s.low < len(s.bits); s.low++ {
		if w := s.bits[s.low]; w != 0 {
			return uint32(s.low*64+bits.TrailingZeros64(w)) << s.order, true
		}
	}
	return 0, false
}
