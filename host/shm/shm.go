// Package shm maps memory that several processes can share: a sealed memfd on
// Linux, a deleted temporary file on other systems.
//
// Invariants:
//   - A region's size never changes while it is mapped. On Linux the file is
//     sealed against shrinking, by whoever made it, before anybody maps it, so
//     no peer can make a read fault.
//   - The addresses of a region stay readable and writable for the life of the
//     process. Close takes the shared pages away and leaves private zero pages
//     in their place, so an access that comes too late reads zeros instead of
//     ending the process, and reaches nobody. What a close costs is address
//     space, of which a process has far more than it makes arenas.
//   - Close hooks run before the pages go: they end waits and refuse new work,
//     which is how users of the memory learn api.Closed.
package shm

import (
	"fmt"
	"math"
	"os"
	"slices"
	"sync"

	"inos/kernel/api"
)

// Bounds of a region in bytes. A size is a multiple of Granule, which every
// system's pages and WebAssembly's divide.
const (
	Granule = 64 << 10
	MaxSize = 16 << 30
)

// Region is one mapping. All methods are safe for concurrent use.
type Region struct {
	file  *os.File // the shared file; on some systems it has a name to remove
	alone bool     // nobody uses the memory when Close is called; see CreateAlone

	mu     sync.Mutex
	mem    []byte   // mu: nil once closed
	hooks  []func() // mu: run by Close, last added first
	closed chan struct{}
}

// Create makes and maps size zeroed bytes, shared with whoever gets File. Pages
// cost memory once they are touched. Errors: Invalid for a bad size; Exhausted
// when the system has no memory or file to give.
func Create(size uint64) (*Region, error) {
	const op = "shm.create"
	if err := checkSize(op, size); err != nil {
		return nil, err
	}
	file, err := create(size)
	if err != nil {
		return nil, api.E(op, api.Exhausted, fmt.Errorf("make %d MiB of shared memory; free memory or choose a smaller arena: %w", size>>20, err))
	}
	return mapped(op, file, size)
}

// CreateAlone is Create for an owner that knows when nobody in this process uses
// the memory any more: Close gives back its addresses too, and a later access
// faults. It suits regions that come and go.
func CreateAlone(size uint64) (*Region, error) {
	r, err := Create(size)
	if err == nil {
		r.alone = true
	}
	return r, err
}

// Open maps the region that another process made and passed as file. It owns
// file from now on, also when it fails. Errors: Invalid for a file of a bad
// size; Denied for one that its maker could still shrink; Exhausted.
func Open(file *os.File) (*Region, error) {
	const op = "shm.open"
	info, err := file.Stat()
	if err != nil {
		return nil, fail(file, api.E(op, api.Invalid, err))
	}
	if err := checkSize(op, uint64(info.Size())); err != nil {
		return nil, fail(file, err)
	}
	if err := checkSealed(file); err != nil {
		return nil, fail(file, api.E(op, api.Denied, err))
	}
	return mapped(op, file, uint64(info.Size()))
}

// OpenReadOnly is Open for a file that may only be read: writing to the memory
// ends the process with a fault.
func OpenReadOnly(file *os.File) (*Region, error) {
	const op = "shm.openreadonly"
	info, err := file.Stat()
	if err != nil {
		return nil, fail(file, api.E(op, api.Invalid, err))
	}
	if err := checkSize(op, uint64(info.Size())); err != nil {
		return nil, fail(file, err)
	}
	if err := checkSealed(file); err != nil {
		return nil, fail(file, api.E(op, api.Denied, err))
	}
	mem, err := mapReadOnly(file, int(info.Size()))
	if err != nil {
		return nil, fail(file, api.E(op, api.Exhausted, fmt.Errorf("map %d MiB; raise the limit of address space: %w", info.Size()>>20, err)))
	}
	return &Region{file: file, mem: mem, closed: make(chan struct{})}, nil
}

func fail(file *os.File, err error) error {
	discard(file)
	return err
}

func checkSize(op string, size uint64) error {
	if size == 0 || size > MaxSize || size > math.MaxInt || size%Granule != 0 {
		return api.Errorf(op, api.Invalid, "shared memory has a multiple of 64 KiB, at most 16 GiB")
	}
	return nil
}

func mapped(op string, file *os.File, size uint64) (*Region, error) {
	mem, err := mapFile(file, int(size))
	if err != nil {
		return nil, fail(file, api.E(op, api.Exhausted, fmt.Errorf("map %d MiB; raise the limit of address space: %w", size>>20, err)))
	}
	return &Region{file: file, mem: mem, closed: make(chan struct{})}, nil
}

// Bytes returns the mapped memory, nil once the region is closed. The slice must
// not be used after Close; should it be, it reads as zeros (see the package
// comment).
func (r *Region) Bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mem
}

// File returns the file to pass to another process, which gives it to Open. It
// stays the region's. Closed once the region is closed.
func (r *Region) File() (*os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem == nil {
		return nil, api.Errorf("shm.file", api.Closed, "the shared memory was closed")
	}
	return r.file, nil
}

// OnClose has Close call fn before the pages go, such as arena.Arena.Close. fn
// must return soon and must not call Close. It runs at once if the region is
// closed already.
func (r *Region) OnClose(fn func()) {
	r.mu.Lock()
	if r.mem != nil {
		r.hooks = append(r.hooks, fn)
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	fn()
}

// Close runs the hooks and gives up the shared pages. It waits for a Close
// under way elsewhere; a second one does nothing.
func (r *Region) Close() error {
	r.mu.Lock()
	mem, hooks := r.mem, r.hooks
	r.mem, r.hooks = nil, nil
	r.mu.Unlock()
	if mem == nil {
		<-r.closed
		return nil
	}
	defer close(r.closed)
	for _, fn := range slices.Backward(hooks) {
		fn()
	}
	end := replace
	if r.alone {
		end = unmap
	}
	err := end(mem)
	discard(r.file)
	if err != nil {
		return api.E("shm.close", api.Other, err)
	}
	return nil
}
