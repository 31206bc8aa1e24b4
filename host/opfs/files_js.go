package opfs

import (
	"errors"
	"sync"
	"syscall/js"
)

// What the glue's calls return in place of a count; see files.ts.
const (
	full   = -1
	failed = -2
)

// glue is an open store's files in JavaScript. Its functions are looked up once,
// for a property read costs as much as a call. The scratch is under the
// store's lock, like the files.
type glue struct {
	scratch                                 js.Value
	bytes                                   int // of the scratch
	read, write, flush, truncate, size, why js.Value
}

// handle is one of the files. It implements file.
type handle struct {
	*glue
	n int
}

func handles(v js.Value) *files {
	g := &glue{
		scratch: v.Get("scratch"), read: v.Get("read"), write: v.Get("write"), flush: v.Get("flush"),
		truncate: v.Get("truncate"), size: v.Get("size"), why: v.Get("failure"),
	}
	g.bytes = g.scratch.Length()
	room, closing := v.Get("room"), sync.OnceFunc(func() { v.Call("close") })
	return &files{
		blocks: &handle{g, 0}, logs: [2]file{&handle{g, 1}, &handle{g, 2}},
		room:  func() uint64 { return uint64(room.Invoke().Float()) },
		close: func() error { closing(); return nil },
	}
}

// result turns what a call returned into a count or an error.
func (g *glue) result(v js.Value) (int64, error) {
	switch n := int64(v.Float()); n {
	case full:
		return 0, errFull
	case failed:
		return 0, errors.New(g.why.Invoke().String())
	default:
		return n, nil
	}
}

func (h *handle) ReadAt(p []byte, at int64) (got int, err error) {
	for got < len(p) {
		want := min(len(p)-got, h.bytes)
		n, err := h.result(h.read.Invoke(h.n, at+int64(got), want))
		if err != nil {
			return got, err
		}
		js.CopyBytesToGo(p[got:got+int(n)], h.scratch)
		if got += int(n); int(n) < want {
			break
		}
	}
	return got, nil
}

func (h *handle) WriteAt(p []byte, at int64) error {
	for len(p) > 0 {
		n := min(len(p), h.bytes)
		js.CopyBytesToJS(h.scratch, p[:n])
		wrote, err := h.result(h.write.Invoke(h.n, at, n))
		if err != nil {
			return err
		}
		if wrote == 0 {
			return errFull // a browser that writes nothing and says nothing has no room
		}
		p, at = p[wrote:], at+wrote
	}
	return nil
}

func (h *handle) Truncate(size int64) error {
	_, err := h.result(h.truncate.Invoke(h.n, size))
	return err
}

func (h *handle) Flush() error {
	_, err := h.result(h.flush.Invoke(h.n))
	return err
}

func (h *handle) Size() (int64, error) { return h.result(h.size.Invoke(h.n)) }
