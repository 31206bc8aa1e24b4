//go:build js

package browser

import (
	"context"
	"syscall/js"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// Shared is the tab's arena in the SharedArrayBuffer, as other threads write it.
// It implements twin.Source.
type Shared struct {
	memory js.Value // frontend/src/bridge/kernelmemory.ts
	size   uint64
}

// OpenShared returns the arena that the page shares. Unsupported where it is not
// cross-origin isolated.
func OpenShared() (*Shared, error) {
	v := js.Global().Get("inosHost").Get("memory")
	if v.IsUndefined() {
		return nil, api.Errorf("browser.shared", api.Unsupported, "this page shares no memory between its threads: serve it with the headers COOP and COEP, over HTTPS or from this machine")
	}
	return &Shared{memory: v, size: uint64(v.Get("size").Int())}, nil
}

// Size implements twin.Source.
func (s *Shared) Size() uint64 { return s.size }

// Load implements twin.Source.
func (s *Shared) Load(off uint64) uint32 {
	return uint32(int64(s.memory.Call("load32", off).Float()))
}

// Copy implements twin.Source. JavaScript does not reorder accesses around its
// atomics.
func (s *Shared) Copy(dst []byte, off uint64) {
	if len(dst) > 0 {
		js.CopyBytesToGo(dst, s.memory.Call("view", off, len(dst)))
	}
}

// Write copies src into the arena at off, for memory that the kernel owns.
func (s *Shared) Write(off uint64, src []byte) {
	if len(src) > 0 {
		js.CopyBytesToJS(s.memory.Call("view", off, len(src)), src)
	}
}

// Store writes an aligned word atomically.
func (s *Shared) Store(off uint64, value uint32) { s.memory.Call("store32", off, value) }

// Zero clears memory.
func (s *Shared) Zero(off, n uint64) { s.memory.Call("view", off, n).Call("fill", 0) }

// Advance raises the cell at off by one and wakes whoever sleeps on it.
func (s *Shared) Advance(off uint64) { s.memory.Call("advance", off) }

// Publish gives the cell at off the kernel's value and wakes whoever sleeps on it.
func (s *Shared) Publish(off uint64, value uint32) { s.memory.Call("publish", off, value) }

// Watcher waits on one cell that other threads advance. One goroutine uses it.
type Watcher struct {
	s     *Shared
	cell  uint64
	moved chan struct{} // capacity 1
	tell  js.Func
}

// Watch returns a Watcher of the cell at off. Close it.
func (s *Shared) Watch(off uint64) *Watcher {
	w := &Watcher{s: s, cell: off, moved: make(chan struct{}, 1)}
	w.tell = js.FuncOf(func(js.Value, []js.Value) any {
		select {
		case w.moved <- struct{}{}:
		default:
		}
		return nil
	})
	return w
}

// Await is epoch.Cell's: it returns once the cell differs from seen, with the value
// it found, or with the context's error.
func (w *Watcher) Await(ctx context.Context, seen uint32) (uint32, error) {
	for {
		if now := w.s.Load(w.cell + layout.EpochCellAtValue); now != seen {
			return now, nil
		}
		w.s.memory.Call("when", w.cell, seen, w.tell)
		select {
		case <-w.moved:
		case <-ctx.Done():
			return seen, api.E("browser.await", api.Other, ctx.Err())
		}
	}
}

// Close ends the watch.
func (w *Watcher) Close() {
	w.s.memory.Call("forget", w.cell, w.tell)
	w.tell.Release()
}
