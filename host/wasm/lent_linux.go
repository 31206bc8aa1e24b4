package wasm

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"inos/kernel/api"
	"inos/kernel/module"
)

// show maps what t lends at byte at of the guest's memory. A loan that stands
// there already stays.
//
// A loan to read is mapped private and writable: a write makes a copy of the page
// that nobody else sees, where in a read-only mapping it would end the process.
func (g *guestMemory) show(t *lent, at uint64, arena Shared, _ *module.Result) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.gone.Load() {
		return api.Errorf("wasm.lend", api.Closed, "the loan was revoked")
	}
	size := t.loan.End() - t.loan.Off
	want := mapped{at: at, size: size, write: t.loan.Write}
	t.at, t.size, t.copied = at, size, false
	if g.mapped != want {
		if err := g.unmap(); err != nil {
			return err
		}
		if err := g.mapArena(t, arena); err != nil {
			return api.E("wasm.lend", api.Unavailable, err)
		}
		g.mapped = want
	}
	// What lies behind the loan's last byte is not part of the input.
	clear(g.mem[at+t.loan.Len : at+size])
	return nil
}

func (g *guestMemory) mapArena(t *lent, arena Shared) error {
	file, err := arena.File()
	if err != nil {
		return err
	}
	kind, touch := unix.MAP_PRIVATE, unix.MADV_POPULATE_READ
	if t.loan.Write {
		kind, touch = unix.MAP_SHARED, unix.MADV_POPULATE_WRITE
	}
	// SAFETY: the range lies inside our own reservation, where the guest has
	// memory, and it is not running.
	_, err = unix.MmapPtr(int(file.Fd()), int64(t.loan.Off), unsafe.Pointer(&g.mem[t.at]), uintptr(t.size),
		unix.PROT_READ|unix.PROT_WRITE, kind|unix.MAP_FIXED|unix.MAP_NORESERVE)
	if err == nil && !t.loan.Sparse {
		_ = unix.Madvise(g.mem[t.at:t.at+t.size], touch) // a help; older systems do without
	}
	return err
}

// unmap puts back what was there before the loan: the image, and zeros beyond
// it. The guest may be running. The caller holds mu.
func (g *guestMemory) unmap() error {
	m := g.mapped
	if m.size == 0 || g.mem == nil {
		return nil
	}
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_FIXED | unix.MAP_NORESERVE
	at, end := m.at, m.at+m.size
	if g.img != nil && at < g.img.size {
		n := min(end, g.img.size) - at
		// SAFETY: as in mapArena, and what is mapped here was a loan, to which no
		// Go object refers.
		if _, err := unix.MmapPtr(g.img.fd, int64(at), unsafe.Pointer(&g.mem[at]), uintptr(n), prot, flags); err != nil {
			return api.E("wasm.lend", api.Other, err)
		}
		at += n
	}
	if at < end {
		// SAFETY: as above.
		if _, err := unix.MmapPtr(-1, 0, unsafe.Pointer(&g.mem[at]), uintptr(end-at), prot, flags|unix.MAP_ANON); err != nil {
			return api.E("wasm.lend", api.Other, err)
		}
	}
	g.mapped = mapped{}
	return nil
}

// restoreAround is restore for a memory of used bytes with a loan in it. Of a
// loan to read, what the guest wrote there is dropped; one to write is left alone.
func (g *guestMemory) restoreAround(used uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.mapped
	if m.size == 0 {
		return g.restore(0, used)
	}
	if err := g.restore(0, min(used, m.at)); err != nil {
		return err
	}
	if end := m.at + m.size; end < used {
		if err := g.restore(end, used); err != nil {
			return err
		}
	}
	if m.write {
		return nil
	}
	return unix.Madvise(g.mem[m.at:m.at+m.size], unix.MADV_DONTNEED)
}
