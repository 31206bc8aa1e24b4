//go:build js

package browser

import (
	"context"
	"fmt"
	"syscall/js"

	"inos/host/internal/promise"
	"inos/kernel/api"
)

// Fetch gets a file of the page's origin, unpacked, of at most the given number
// of bytes. Errors: NotFound, Unavailable when the server does not answer or
// answers with another failure, Exhausted for a longer file, and the context's.
func Fetch(ctx context.Context, url string, most int) ([]byte, error) {
	const op = "browser.fetch"
	abort := js.Global().Get("AbortController").New()
	defer context.AfterFunc(ctx, func() { abort.Call("abort") })()
	res, err := promise.Await(ctx, js.Global().Call("fetch", url, map[string]any{"signal": abort.Get("signal"), "credentials": "same-origin"}), nil)
	if err != nil {
		return nil, fetchError(ctx, url, err)
	}
	switch status := res.Get("status").Int(); {
	case status == 404:
		return nil, api.Errorf(op, api.NotFound, "the page's server has no "+url)
	case !res.Get("ok").Bool():
		return nil, api.Errorf(op, api.Unavailable, fmt.Sprintf("the page's server answered %d for %s", status, url))
	}
	body, err := promise.Await(ctx, res.Call("arrayBuffer"), nil)
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
