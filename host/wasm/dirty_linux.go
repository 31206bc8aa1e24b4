package wasm

import (
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dirtyScan asks the kernel which pages of a private mapping were written: they
// are anonymous copies, while untouched ones still belong to the image's file.
// Copying the few pages of a small call back costs a tenth of dropping them and
// faulting them in again.
//
// Source: Linux, Documentation/admin-guide/mm/pagemap.rst, PAGEMAP_SCAN (6.7).
type dirtyScan struct{ fd int }

// pagemap returns the process's scanner, or nil where the kernel has none.
var pagemap = sync.OnceValue(openPagemap)

// maxDirty bounds the pages that are copied back; beyond, all are dropped. It
// also bounds what an idle instance keeps of its own: 128 KiB.
const maxDirty = 32

// Bits of a page's category.
const (
	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
)

// pageRegion is struct page_region.
type pageRegion struct {
	start, end uint64
	_          uint64 // categories
}

// scanArg is struct pm_scan_arg.
type scanArg struct {
	size, flags, start, end, walkEnd   uint64
	vec, vecLen, maxPages              uint64
	inverted, mask, anyOf, returnedSet uint64
}

// findings is what a scan writes. It lives on the heap, where addresses that the
// kernel is given stay true.
type findings [maxDirty]pageRegion

var findingsPool = sync.Pool{New: func() any { return new(findings) }}

// pagemapScan is _IOWR('f', 16, struct pm_scan_arg).
const pagemapScan = 3<<30 | unsafe.Sizeof(scanArg{})<<16 | 'f'<<8 | 16

// openPagemap trusts the interface only after it told a written page from a
// read one.
func openPagemap() *dirtyScan {
	fd, err := unix.Open("/proc/self/pagemap", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	s := &dirtyScan{fd}
	if os.Getpagesize() != osPage || !s.works() {
		_ = unix.Close(fd)
		return nil
	}
	return s
}

func (s *dirtyScan) works() bool {
	fd, err := unix.MemfdCreate("inos-probe", unix.MFD_CLOEXEC)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if unix.Ftruncate(fd, 3*osPage) != nil {
		return false
	}
	m, err := unix.Mmap(fd, 0, 3*osPage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Munmap(m) }()
	m[osPage] = m[0] + 1
	found := findingsPool.Get().(*findings)
	defer findingsPool.Put(found)
	n, ok := s.scan(m, found)
	at := uint64(uintptr(unsafe.Pointer(&m[0]))) // SAFETY: m is mapped until the function ends
	return ok && n == 1 && found[0].start == at+osPage && found[0].end == at+2*osPage
}

// scan finds the written pages of mem, which is page-aligned and mapped. It
// reports false when there are more than maxDirty, or the kernel refuses.
func (s *dirtyScan) scan(mem []byte, found *findings) (n int, ok bool) {
	start := uint64(uintptr(unsafe.Pointer(&mem[0]))) // SAFETY: an address for the kernel, which reads page tables only
	a := scanArg{
		size: uint64(unsafe.Sizeof(scanArg{})), start: start, end: start + uint64(len(mem)),
		vec: uint64(uintptr(unsafe.Pointer(found))), vecLen: maxDirty, maxPages: maxDirty + 1,
		inverted: pageIsFile, mask: pageIsFile, anyOf: pageIsPresent | pageIsSwapped, returnedSet: pageIsPresent,
	}
	// SAFETY: a and found outlive the call; found has vecLen entries on the heap.
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.fd), pagemapScan, uintptr(unsafe.Pointer(&a)))
	runtime.KeepAlive(found)
	if errno != 0 || a.walkEnd != a.end {
		return 0, false
	}
	n = int(r)
	var pages uint64
	for _, f := range found[:n] {
		pages += (f.end - f.start) / osPage
	}
	return n, pages <= maxDirty
}

// putBack copies the image over the pages of mem that were written. It reports
// false, having changed nothing, when dropping them is the way.
func (s *dirtyScan) putBack(mem, view []byte) bool {
	found := findingsPool.Get().(*findings)
	defer findingsPool.Put(found)
	n, ok := s.scan(mem, found)
	if !ok {
		return false
	}
	start := uint64(uintptr(unsafe.Pointer(&mem[0]))) // SAFETY: as in scan
	for _, f := range found[:n] {
		copy(mem[f.start-start:f.end-start], view[f.start-start:])
	}
	return true
}
