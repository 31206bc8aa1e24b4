//go:build js

package webwasm

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sort"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"inos/host/enginetest"
	"inos/kernel/api"
	"inos/kernel/module"
	"inos/modules"
)

// The kernel's thread answers while a guest loops or copies without end, and
// the guest ends near its deadline. How long a turn is waited for depends on who else
// wants the machine's cores: the best of twenty counts. A kernel that is held up waits
// for the whole of wall.
func TestHostileGuestsHoldUpNobody(t *testing.T) {
	const wall, slack = 250 * time.Millisecond, 50 * time.Millisecond
	m := load(t, newEngine(t, Config{}), enginetest.Probe(t))
	for _, method := range []string{"loop", "fill", "copy"} {
		best := time.Hour
		for range 20 {
			stop, turns := make(chan struct{}), make(chan []time.Duration)
			go takeTurns(stop, turns)
			c := call(method)
			c.Limits = api.Limits{Gas: 1 << 50, WallMS: uint32(wall.Milliseconds())}
			began := time.Now()
			_, err := m.Call(context.Background(), c)
			late := time.Since(began) - wall
			close(stop)
			waited := <-turns
			if api.KindOf(err) != api.Timeout {
				t.Fatalf("%s: %v after %d turns", method, err, len(waited))
			}
			worst := wall // as good as none
			if len(waited) >= 10 {
				worst = slices.Max(waited)
			}
			t.Logf("%s: %d turns meanwhile, the longest wait for one %v; stopped %v late", method, len(waited), worst, late)
			if best = min(best, max(late, worst)); best < slack {
				break
			}
		}
		if best > slack {
			t.Errorf("%s was stopped, or the kernel had its turn, %v late at best", method, best)
		}
	}
}

// takeTurns asks for a turn each millisecond and returns how long each was late.
func takeTurns(stop <-chan struct{}, turns chan<- []time.Duration) {
	var waited []time.Duration
	for {
		last := time.Now()
		select {
		case <-stop:
			turns <- waited
			return
		case <-time.After(time.Millisecond):
			waited = append(waited, time.Since(last))
		}
	}
}

// probe is added to a worker's script: it tells what of a list is still there once
// the first message has been handled.
const probe = `;(() => {
  const later = setTimeout, tell = postMessage.bind(globalThis), names = NAMES;
  later(() => tell({ t: 'crashed', text: names.filter((n) => n in globalThis).join(' ') }), 300);
})();`

// A worker has nothing of a browser's that reaches beyond it.
func TestAWorkerReachesNothing(t *testing.T) {
	names := []string{
		"fetch", "XMLHttpRequest", "WebSocket", "WebTransport", "EventSource", "Worker", "indexedDB", "caches", "importScripts", "navigator",
		"BroadcastChannel", "location", "self", "setTimeout", "Request", "OffscreenCanvas", "FileReaderSync", "Notification", "crypto", "eval",
	}
	list := `["` + strings.Join(names, `","`) + `"]`
	script := string(get(t, "/module.worker.js")) + strings.ReplaceAll(probe, "NAMES", list)
	said := make(chan string, 1)
	for _, armed := range []bool{true, false} { // true: the worker as it begins, to see that the probe sees
		blob := js.Global().Get("Blob").New([]any{script})
		w := js.Global().Get("Worker").New(js.Global().Get("URL").Call("createObjectURL", blob))
		heard := js.FuncOf(func(_ js.Value, args []js.Value) any {
			said <- args[0].Get("data").Get("text").String()
			return nil
		})
		w.Set("onmessage", heard)
		if !armed {
			w.Call("postMessage", map[string]any{})
		}
		left := <-said
		w.Call("terminate")
		heard.Release()
		if armed && left != strings.Join(names, " ") {
			t.Errorf("a fresh worker has only %s", left)
		}
		if !armed && left != "" {
			t.Errorf("a worker for guests still has %s", left)
		}
	}
}

// get fetches a file of the test's server.
func get(t *testing.T, path string) []byte {
	t.Helper()
	r, err := http.Get(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A call of a module's no-op, as long as the kernel waits for it.
func BenchmarkNoop(b *testing.B) {
	e := newEngine(b, Config{})
	wasm, err := modules.Load("diagnostics")
	if err != nil {
		b.Fatal(err)
	}
	m := load(b, e, wasm)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := m.Call(context.Background(), module.Call{Unit: "echo", Method: "noop"}); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		runtime.Gosched()
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "us-p50")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds()), "us-p95")
}

func BenchmarkEcho1MiB(b *testing.B) {
	m := load(b, newEngine(b, Config{}), enginetest.Probe(b))
	c := call("echo")
	c.Input = make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		if _, err := m.Call(context.Background(), c); err != nil {
			b.Fatal(err)
		}
	}
}
