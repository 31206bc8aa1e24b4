package node

import (
	"syscall/js"
	"testing"

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
