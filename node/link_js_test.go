package node

import (
	"context"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"inos/kernel/api"
)

// A tab that has no thread for its network tries again, and one whose page makes none
// does not.
func TestANetworkWorkerIsTriedForAgain(t *testing.T) {
	host := js.Global().Get("inosHost")
	before := host.Get("dial")
	defer host.Set("dial", before)
	host.Set("dial", js.Global().Get("Function").New(`
		let left = 2;
		return (name) => {
			if (left-- > 0) throw new RangeError('Array buffer allocation failed');
			return Promise.resolve(inosHost.ports.net);
		};`).Invoke())
	link, err := openLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	link.Close()
	host.Set("dial", js.Undefined())
	if _, err := openLink(t.Context()); api.KindOf(err) != api.Unsupported {
		t.Errorf("a page that makes none: %v", err)
	}
}

// It gives up after a few tries, and at once when nobody waits for it any more.
func TestANetworkWorkerIsNotTriedForForever(t *testing.T) {
	host := js.Global().Get("inosHost")
	before := host.Get("dial")
	defer host.Set("dial", before)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tries, last := 0, 0
	dial := js.FuncOf(func(js.Value, []js.Value) any {
		if tries++; tries == last {
			cancel()
		}
		return js.Global().Get("Promise").Call("reject", "out of memory")
	})
	defer dial.Release()
	host.Set("dial", dial)
	if _, err := dialLink(ctx, time.Millisecond); api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "out of memory") || tries != linkTries {
		t.Errorf("%d tries: %v", tries, err)
	}
	tries, last = 0, 2
	if _, err := dialLink(ctx, time.Millisecond); api.KindOf(err) != api.Canceled || tries != last {
		t.Errorf("canceled in try %d of %d: %v", last, tries, err)
	}
	if _, err := dialLink(ctx, time.Hour); api.KindOf(err) != api.Canceled {
		t.Errorf("canceled before: %v", err)
	}
}
