//go:build unix

package shm

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func mapFile(file *os.File, size int) ([]byte, error) {
	p, err := unix.MmapPtr(int(file.Fd()), 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	// SAFETY: the system has just mapped size bytes at p, outside Go's heap, and
	// replace, the only thing that changes the mapping, leaves memory there.
	return unsafe.Slice((*byte)(p), size), nil
}

// mapReadOnly is mapFile for memory that is only read.
func mapReadOnly(file *os.File, size int) ([]byte, error) {
	p, err := unix.MmapPtr(int(file.Fd()), 0, nil, uintptr(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	// SAFETY: as in mapFile; the users of the slice only read it.
	return unsafe.Slice((*byte)(p), size), nil
}

// unmap gives back the addresses of mem, which nobody uses.
func unmap(mem []byte) error {
	// SAFETY: the range is one that mapFile mapped and nobody else unmaps.
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(mem)), uintptr(len(mem)))
}

// replace puts private zero pages where mem was mapped, in one step, so that no
// other mapping can take its place and be mistaken for it.
func replace(mem []byte) error {
	p := unsafe.Pointer(unsafe.SliceData(mem))
	// SAFETY: the range is one that mapFile mapped and nobody else unmaps.
	_, err := unix.MmapPtr(-1, 0, p, uintptr(len(mem)), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED|noReserve)
	return err
}

// discard closes a file that has no name.
func discard(file *os.File) { _ = file.Close() }
