package browser

import (
	"context"
	"errors"
	"syscall/js"
	"testing"
)

// A port that the page makes after nobody waits for it any more is closed, and
// so the thread at its other end ends.
func TestDialClosesAPortThatComesTooLate(t *testing.T) {
	host := js.Global().Get("inosHost")
	before := host.Get("dial")
	defer host.Set("dial", before)
	var answer js.Value
	promise := js.Global().Get("Promise").New(js.FuncOf(func(_ js.Value, args []js.Value) any { answer = args[0]; return nil }))
	host.Set("dial", js.FuncOf(func(js.Value, []js.Value) any { return promise }))
	ctx, cancel := context.WithCancel(soon(t))
	cancel()
	if _, err := Dial(ctx, "net"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	answer.Invoke(map[string]any{"close": js.FuncOf(func(js.Value, []js.Value) any { close(closed); return nil })})
	select {
	case <-closed:
	case <-soon(t).Done():
		t.Fatal("the port stays open")
	}
}
