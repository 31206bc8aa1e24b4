package browser

import (
	"context"
	"errors"
	"strings"
	"syscall/js"
	"testing"

	"inos/kernel/api"
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

// What JavaScript throws, or rejects a promise with, is an error of one call,
// whatever it is: an Error, the text that some browsers throw when memory is short,
// nothing at all.
func TestWhatIsThrownIsAnError(t *testing.T) {
	host := js.Global().Get("inosHost")
	before := host.Get("dial")
	defer host.Set("dial", before)
	for body, want := range map[string]string{
		"throw new RangeError('Array buffer allocation failed')": "Array buffer allocation failed",
		"throw 'out of memory'":                                  "out of memory",
		"throw undefined":                                        "undefined",
		"return Promise.reject(new Error('the page made none'))": "the page made none",
		"return Promise.reject('out of memory')":                 "out of memory",
		"return Promise.reject()":                                "undefined",
	} {
		host.Set("dial", js.Global().Get("Function").New(body))
		if _, err := Dial(soon(t), "net"); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
	if v, err := Call(js.Global().Get("Math"), "max", 2, 7); err != nil || v.Int() != 7 {
		t.Errorf("%v, %v", v, err)
	}
}
