package wasm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// region is reserved address space: inaccessible, then committed from the front.
type region struct {
	mem       []byte // the whole reservation; nil before reserve and after release
	committed uint64 // accessible bytes
	img       *image // mapped over the first bytes, nil before adopt
}

// image is a memory's content after initialization, in an anonymous file. Zero
// pages are holes.
type image struct {
	fd   int
	size uint64
	view []byte // the file, read-only; nil where written pages cannot be told
}

const osPage = 4096

func (r *region) reserve(n uint64) error {
	if n == 0 {
		n = pageSize // a reservation cannot be empty; nothing is ever committed
	}
	mem, err := unix.Mmap(-1, 0, int(n), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	r.mem = mem
	return err
}

func (r *region) commit(size uint64) error {
	if size <= r.committed {
		return nil
	}
	if size > uint64(len(r.mem)) {
		return unix.ENOMEM
	}
	err := unix.Mprotect(r.mem[r.committed:size], unix.PROT_READ|unix.PROT_WRITE)
	if err == nil {
		r.committed = size
	}
	return err
}

func (r *region) bytes(size uint64) []byte { return r.mem[:size:size] }

func (r *region) release() {
	if r.mem != nil {
		_ = unix.Munmap(r.mem)
		r.mem, r.committed = nil, 0
	}
}

// capture writes the first size bytes to a new image.
func (r *region) capture(size uint64) (*image, error) {
	fd, err := unix.MemfdCreate("inos-guest", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	img := &image{fd: fd, size: size}
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		img.close()
		return nil, err
	}
	for at := uint64(0); at < size; {
		end := at
		for end < size && !zeroPage(r.mem[end:end+osPage]) {
			end += osPage
		}
		for at < end {
			n, err := unix.Pwrite(fd, r.mem[at:end], int64(at))
			if err != nil {
				img.close()
				return nil, err
			}
			at += uint64(n)
		}
		at += osPage
	}
	if size > 0 && pagemap() != nil {
		// Without the view, restore drops pages: slower and as good.
		img.view, _ = unix.Mmap(fd, 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	}
	return img, nil
}

func zeroPage(p []byte) bool {
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&p[0])), osPage/8) // SAFETY: p is one aligned page of the mapping
	for _, w := range words {
		if w != 0 {
			return false
		}
	}
	return true
}

// adopt maps the image copy-on-write over the front of the region.
func (r *region) adopt(img *image) error {
	if img.size > 0 {
		// SAFETY: the range lies inside our own reservation, and the guest that
		// uses it is not running.
		_, err := unix.MmapPtr(img.fd, 0, unsafe.Pointer(&r.mem[0]), uintptr(img.size),
			unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|unix.MAP_NORESERVE)
		if err != nil {
			return err
		}
	}
	r.img = img
	return r.restore(0, r.committed)
}

// maxWarm is how many bytes beyond the image an instance keeps between calls.
// Clearing a page costs a tenth of taking a fresh one.
const maxWarm = 4 << 20

// restore undoes what was written from byte at to byte end since adopt: the image
// shows again, and the bytes beyond it are zero.
func (r *region) restore(at, end uint64) error {
	if n := min(end, r.img.size); at < n && (r.img.view == nil || !pagemap().putBack(r.mem[at:n], r.img.view[at:n])) {
		if err := unix.Madvise(r.mem[at:n], unix.MADV_DONTNEED); err != nil {
			return err
		}
	}
	beyond := r.mem[max(at, r.img.size):max(end, at, r.img.size)]
	if len(beyond) <= maxWarm {
		clear(beyond)
		return nil
	}
	return unix.Madvise(beyond, unix.MADV_DONTNEED)
}

// close ends the image. Memories that adopted it keep their mappings, and are
// not restored any more.
func (i *image) close() {
	if i.view != nil {
		_ = unix.Munmap(i.view)
		i.view = nil
	}
	_ = unix.Close(i.fd)
}
