package opfs

import (
	"cmp"
	"context"
	"syscall/js"
	"time"

	"inos/host/internal/promise"
	"inos/kernel/api"
)

// memoryRoom bounds the blocks of a store in memory: a worker's memory is the
// tab's, and a browser ends tabs that take too much.
const memoryRoom = 256 << 20

// defaultWait is Options.Wait when that is 0.
const defaultWait = 5 * time.Second

// Open opens the store of this origin with the given name, making it if it is not
// there; the glue of frontend/src/tab/store must be installed in the worker. Where
// the browser keeps no files, as in private windows of some, the store is in
// memory, and Volatile says so. Conflict if another tab keeps it open for
// Options.Wait, in which a tab that is reloading gives it up; Unsupported if a newer
// version wrote it.
func Open(ctx context.Context, name string, opt Options) (*Store, error) {
	const op = "opfs.open"
	glue := js.Global().Get("inosStore")
	if glue.IsUndefined() {
		return nil, api.Errorf(op, api.Unsupported, "the worker lacks the store's glue: install frontend/src/tab/store first")
	}
	got, err := promise.Await(ctx, glue.Call("open", name, []any{"blocks", "log-0", "log-1"}, cmp.Or(opt.Wait, defaultWait).Milliseconds()), giveUp)
	if err != nil {
		return nil, api.E(op, api.Unavailable, err)
	}
	if why := got.Get("busy"); !why.IsUndefined() {
		return nil, api.Errorf(op, api.Conflict, why.String()+"; close it or use it there")
	}
	if why := got.Get("none"); !why.IsUndefined() {
		return openOn(inMemory(memoryRoom), why.String(), opt)
	}
	return openOn(handles(got.Get("files")), "", opt)
}

// giveUp closes what is opened for a caller who no longer waits.
func giveUp(got js.Value) {
	if f := got.Get("files"); !f.IsUndefined() {
		f.Call("close")
	}
}
