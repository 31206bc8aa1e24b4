package shm

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// create makes a temporary file; discard removes it. After a crash the system's
// cleaning of temporary files does.
func create(size uint64) (*os.File, error) {
	file, err := os.CreateTemp("", "inos-arena-*")
	if err != nil {
		return nil, err
	}
	if err := file.Truncate(int64(size)); err != nil {
		discard(file)
		return nil, err
	}
	return file, nil
}

// checkSealed accepts every file: while a view is mapped, Windows itself refuses
// to shrink the file.
func checkSealed(*os.File) error { return nil }

func mapFile(file *os.File, size int) ([]byte, error) {
	return mapView(file, size, windows.PAGE_READWRITE, windows.FILE_MAP_READ|windows.FILE_MAP_WRITE)
}

// mapReadOnly is mapFile for memory that is only read.
func mapReadOnly(file *os.File, size int) ([]byte, error) {
	return mapView(file, size, windows.PAGE_READONLY, windows.FILE_MAP_READ)
}

// unmap gives back the addresses of mem, which nobody uses.
func unmap(mem []byte) error {
	return windows.UnmapViewOfFile(uintptr(unsafe.Pointer(unsafe.SliceData(mem))))
}

func mapView(file *os.File, size int, protect, access uint32) ([]byte, error) {
	h, err := windows.CreateFileMapping(windows.Handle(file.Fd()), nil, protect,
		uint32(uint64(size)>>32), uint32(uint64(size)), nil)
	if err != nil {
		return nil, err
	}
	addr, err := windows.MapViewOfFile(h, access, 0, 0, uintptr(size))
	// The view keeps the mapping object alive.
	if err := errors.Join(err, windows.CloseHandle(h)); err != nil {
		return nil, err
	}
	// SAFETY: the system has just mapped size bytes at addr, outside Go's heap,
	// and replace, the only thing that changes the mapping, leaves memory there.
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&addr))), size), nil
}

// replace puts zero pages where mem was mapped. Windows cannot do so in one
// step: if another thread takes the addresses between the two calls, replace
// reports it.
func replace(mem []byte) error {
	addr := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	if err := windows.UnmapViewOfFile(addr); err != nil {
		return err
	}
	_, err := windows.VirtualAlloc(addr, uintptr(len(mem)), windows.MEM_RESERVE|windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}

func discard(file *os.File) {
	_ = file.Close()
	_ = os.Remove(file.Name())
}
