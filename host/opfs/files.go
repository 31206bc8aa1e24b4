package opfs

import (
	"errors"
	"sync"
)

// A file is random-access storage that this process alone writes. Calls return
// when the bytes are handed over: they survive the process. Flush makes them
// survive the machine. errFull from WriteAt and Truncate means that there is no
// room; the file may then have any part of the bytes.
type file interface {
	// ReadAt fills p from the offset at, and returns fewer bytes only at the end
	// of the file.
	ReadAt(p []byte, at int64) (int, error)
	WriteAt(p []byte, at int64) error
	Truncate(size int64) error
	Flush() error
	Size() (int64, error)
}

// files are a store's. room says how many bytes the place has left, as far as
// it tells; close gives the files up.
type files struct {
	blocks file
	logs   [2]file
	room   func() uint64
	close  func() error
}

// errFull is what a file says when the place that it is in has no room.
var errFull = errors.New("no room")

// pageBytes is how memory files grow.
const pageBytes = 256 << 10

// memFile is a file in memory.
type memFile struct {
	mu    sync.Mutex
	pages [][]byte // guarded by mu; pageBytes each
	size  int64    // guarded by mu
}

// inMemory makes files whose blocks take at most room bytes.
func inMemory(room uint64) *files {
	blocks := &memFile{}
	return &files{
		blocks: blocks, logs: [2]file{&memFile{}, &memFile{}},
		room: func() uint64 {
			blocks.mu.Lock()
			defer blocks.mu.Unlock()
			return room + logReserve - min(uint64(blocks.size), room)
		},
		close: func() error { return nil },
	}
}

func (f *memFile) ReadAt(p []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at >= f.size {
		return 0, nil
	}
	p = p[:min(int64(len(p)), f.size-at)]
	f.each(p, at, func(part, page []byte) { copy(part, page) })
	return len(p), nil
}

func (f *memFile) WriteAt(p []byte, at int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(at + int64(len(p)))
	f.each(p, at, func(part, page []byte) { copy(page, part) })
	return nil
}

// each pairs p with the pages that it covers. The caller holds f.mu.
func (f *memFile) each(p []byte, at int64, do func(part, page []byte)) {
	for len(p) > 0 {
		page := f.pages[at/pageBytes][at%pageBytes:]
		n := min(len(p), len(page))
		do(p[:n], page[:n])
		p, at = p[n:], at+int64(n)
	}
}

// grow makes the file at least size long. The caller holds f.mu.
func (f *memFile) grow(size int64) {
	for int64(len(f.pages))*pageBytes < size {
		f.pages = append(f.pages, make([]byte, pageBytes))
	}
	f.size = max(f.size, size)
}

func (f *memFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(size)
	f.size = size
	keep := int((size + pageBytes - 1) / pageBytes)
	clear(f.pages[keep:])
	f.pages = f.pages[:keep]
	if rest := size % pageBytes; rest > 0 {
		clear(f.pages[keep-1][rest:])
	}
	return nil
}

func (f *memFile) Flush() error { return nil }

func (f *memFile) Size() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size, nil
}
