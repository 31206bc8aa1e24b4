//go:build !linux

package wasm

import "errors"

// region is memory from Go's heap, where there is no way to reserve address
// space that all systems share. Its capacity is what has been needed so far.
type region struct {
	mem       []byte
	most      uint64
	committed uint64
	img       *image
}

// image is a copy of a memory's content after initialization.
type image struct {
	data []byte
	size uint64
}

var errTooLarge = errors.New("the memory is larger than was declared")

func (r *region) reserve(n uint64) error {
	r.most = n
	return nil
}

func (r *region) commit(size uint64) error {
	if size > r.most {
		return errTooLarge
	}
	if size > uint64(len(r.mem)) {
		r.mem = append(r.mem, make([]byte, size-uint64(len(r.mem)))...)
	}
	r.committed = max(r.committed, size)
	return nil
}

func (r *region) bytes(size uint64) []byte { return r.mem[:size:size] }

func (r *region) release() { r.mem, r.committed = nil, 0 }

func (r *region) capture(size uint64) (*image, error) {
	return &image{data: append([]byte(nil), r.mem[:size]...), size: size}, nil
}

func (r *region) adopt(img *image) error {
	r.img = img
	return r.restore(0, r.committed)
}

func (r *region) restore(at, end uint64) error {
	from := at
	if at < r.img.size {
		from += uint64(copy(r.mem[at:min(end, r.img.size)], r.img.data[at:]))
	}
	clear(r.mem[from:max(end, from)])
	return nil
}

func (i *image) close() { i.data = nil }
