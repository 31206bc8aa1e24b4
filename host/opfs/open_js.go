package opfs

import (
	"cmp"
	"context"
	"syscall/js"
	"time"

	"inos/host/browser"
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
	got, err := await(ctx, glue.Call("open", name, []any{"blocks", "log-0", "log-1"}, cmp.Or(opt.Wait, defaultWait).Milliseconds()))
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

// await waits for a promise without holding up the thread.
func await(ctx context.Context, promise js.Value) (js.Value, error) {
	type outcome struct {
		value js.Value
		err   error
	}
	done := make(chan outcome, 1)
	fulfilled := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- outcome{value: args[0]}
		return nil
	})
	rejected := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- outcome{err: browser.Thrown(args[0])}
		return nil
	})
	promise.Call("then", fulfilled, rejected)
	release := func() { fulfilled.Release(); rejected.Release() }
	select {
	case o := <-done:
		release()
		return o.value, o.err
	case <-ctx.Done():
		go func() { // the promise settles all the same; what it opened is given up
			o := <-done
			release()
			if o.err != nil {
				return
			}
			if f := o.value.Get("files"); !f.IsUndefined() {
				f.Call("close")
			}
		}()
		return js.Value{}, context.Cause(ctx)
	}
}
