//go:build js

package browser

import (
	"context"
	"fmt"
	"syscall/js"

	"inos/kernel/api"
)

// Fetch gets a file of the page's origin, unpacked, of at most the given number
// of bytes. Errors: NotFound, Unavailable when the server does not answer or
// answers with another failure, Exhausted for a longer file, and the context's.
func Fetch(ctx context.Context, url string, most int) ([]byte, error) {
	const op = "browser.fetch"
	abort := js.Global().Get("AbortController").New()
	defer context.AfterFunc(ctx, func() { abort.Call("abort") })()
	res, err := await(ctx, js.Global().Call("fetch", url, map[string]any{"signal": abort.Get("signal"), "credentials": "same-origin"}), nil)
	if err != nil {
		return nil, fetchError(ctx, url, err)
	}
	switch status := res.Get("status").Int(); {
	case status == 404:
		return nil, api.Errorf(op, api.NotFound, "the page's server has no "+url)
	case !res.Get("ok").Bool():
		return nil, api.Errorf(op, api.Unavailable, fmt.Sprintf("the page's server answered %d for %s", status, url))
	}
	body, err := await(ctx, res.Call("arrayBuffer"), nil)
	if err != nil {
		return nil, fetchError(ctx, url, err)
	}
	view := js.Global().Get("Uint8Array").New(body)
	if n := view.Length(); n > most {
		return nil, api.Errorf(op, api.Exhausted, fmt.Sprintf("%s has more than %d bytes", url, most))
	}
	b := make([]byte, view.Length())
	js.CopyBytesToGo(b, view)
	return b, nil
}

func fetchError(ctx context.Context, url string, err error) error {
	const op = "browser.fetch"
	if ctx.Err() != nil {
		return api.E(op, api.Other, ctx.Err())
	}
	return api.E(op, api.Unavailable, fmt.Errorf("%s cannot be fetched: %w", url, err))
}

// await waits for a promise. When ctx ends first the promise is left to itself; a
// value that it yields afterwards is given to late, unless that is nil.
func await(ctx context.Context, promise js.Value, late func(js.Value)) (js.Value, error) {
	type outcome struct {
		value js.Value
		err   error
	}
	out := make(chan outcome, 1) // capacity 1: the callback never blocks
	var done, failed js.Func
	done = js.FuncOf(func(_ js.Value, args []js.Value) any {
		out <- outcome{value: first(args)}
		done.Release()
		failed.Release()
		return nil
	})
	failed = js.FuncOf(func(_ js.Value, args []js.Value) any {
		out <- outcome{err: Thrown(first(args))}
		done.Release()
		failed.Release()
		return nil
	})
	promise.Call("then", done, failed)
	select {
	case o := <-out:
		return o.value, o.err
	case <-ctx.Done():
		if late != nil {
			go func() {
				if o := <-out; o.err == nil {
					late(o.value)
				}
			}()
		}
		return js.Undefined(), ctx.Err()
	}
}

func first(args []js.Value) js.Value {
	if len(args) == 0 {
		return js.Undefined()
	}
	return args[0]
}
