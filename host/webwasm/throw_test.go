//go:build js

package webwasm

import (
	"context"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"inos/host/browser"
	"inos/host/enginetest"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/module"
	"inos/modules"
)

// thrown are what browsers throw when they cannot: the last is SpiderMonkey's.
var thrown = []string{"new DOMException('Data cannot be cloned, out of memory.', 'DataCloneError')", "'out of memory'"}

// lack puts a function in the place of a global that throws until the test ends or
// back is called.
func lack(t *testing.T, global, what string) (back func()) {
	t.Helper()
	was := js.Global().Get(global)
	js.Global().Set(global, js.Global().Get("Function").New("throw "+what))
	back = func() { js.Global().Set(global, was) }
	t.Cleanup(back)
	return back
}

// refuse has the next message of a kind to any worker throw. thrown tells whether it
// has.
func refuse(t *testing.T, kind, what string) (thrown func() bool) {
	t.Helper()
	armed := js.Global().Get("Function").New("kind", `
		const p = Worker.prototype, was = p.postMessage, armed = { thrown: false, back: () => { p.postMessage = was; } };
		p.postMessage = function (m, ...rest) {
			if (m.t !== kind || armed.thrown) return was.call(this, m, ...rest);
			armed.thrown = true;
			throw `+what+`;
		};
		return armed;`).Invoke(kind)
	t.Cleanup(func() { armed.Call("back") })
	return func() bool { return armed.Get("thrown").Bool() }
}

// counted checks that every thread is either idle or gone.
func counted(t *testing.T, e *Engine) {
	t.Helper()
	e.threads.mu.Lock()
	defer e.threads.mu.Unlock()
	if e.threads.all != len(e.threads.idle) || len(e.slots) != 0 {
		t.Errorf("%d threads are counted, %d idle; %d slots taken", e.threads.all, len(e.threads.idle), len(e.slots))
	}
}

// A tab that has no memory for a thread says so, and its kernel goes on.
func TestNoMemoryForAThread(t *testing.T) {
	e, wasm := newEngine(t, Config{}), enginetest.Probe(t)
	for _, global := range []string{"SharedArrayBuffer", "Worker"} {
		back := lack(t, global, "new RangeError('Array buffer allocation failed')")
		_, err := e.Load(context.Background(), module.HashOf(wasm), wasm)
		back()
		if api.KindOf(err) != api.Unavailable || !strings.Contains(err.Error(), "Array buffer allocation failed") {
			t.Errorf("without %s: %v", global, err)
		}
		counted(t, e)
	}
	load(t, e, wasm)
}

// Neither does one that has none for a call's data.
func TestNoMemoryForData(t *testing.T) {
	if _, err := newEngine(t, Config{}).try("get memory", "bytes", 1<<52); api.KindOf(err) != api.Unavailable {
		t.Errorf("a tab has four petabytes: %v", err)
	}
}

// A browser refuses a message for real: its bytes have moved already.
func TestAMessageThatCannotBeCloned(t *testing.T) {
	e := newEngine(t, Config{})
	th, err := e.thread("")
	if err != nil {
		t.Fatal(err)
	}
	defer th.end()
	move, err := e.bytesToJS([]byte("moves once"))
	if err != nil {
		t.Fatal(err)
	}
	if err := th.post("drop", map[string]any{"hash": "none"}, move...); err != nil {
		t.Fatal(err)
	}
	if err := th.post("drop", map[string]any{"hash": "none"}, move...); api.KindOf(err) != api.Unavailable {
		t.Errorf("moved twice: %v", err)
	}
}

// Each message to a module worker that cannot be sent costs one call at most and
// the thread, and the next call finds another.
func TestMessagesThatCannotBeSent(t *testing.T) {
	wasm := enginetest.Probe(t)
	for kind, fails := range map[string]bool{"rules": true, "compile": true, "load": true, "call": true, "read": true, "end": false, "drop": false} {
		for _, what := range thrown {
			e := newEngine(t, Config{Workers: 2})
			has := refuse(t, kind, what)
			c := call("echo")
			c.Input = []byte("input")
			m, err := e.Load(t.Context(), module.HashOf(wasm), wasm)
			if err == nil {
				_, err = m.Call(t.Context(), c)
			}
			if kind == "drop" {
				untold := e.threads.idle[0]
				m.(*Module).unload(false)
				next, err := e.thread("")
				if err != nil || next == untold {
					t.Errorf("%s, %s: the next call has the thread that could not be told; %v", kind, what, err)
				}
				e.rest(next)
			}
			if fails && (api.KindOf(err) != api.Unavailable || module.DefectOf(err) != nil) || !fails && err != nil || !has() {
				t.Errorf("%s, %s: %v; thrown: %v", kind, what, err, has())
			}
			counted(t, e)
			res, err := load(t, e, wasm).Call(t.Context(), c)
			if err != nil || string(res.Output) != "input" {
				t.Errorf("%s, %s: the next call: %q, %v", kind, what, res.Output, err)
			}
			counted(t, e)
		}
	}
}

// A resident for which the tab lacks memory, threads or messages gives back its place and
// the arena's memory, is not to blame, and starts once they are there.
func TestNoMemoryForAResident(t *testing.T) {
	shared, err := browser.OpenShared()
	if err != nil {
		t.Fatal(err)
	}
	a, err := arena.Format(browser.Image(shared.Size()), 0)
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := modules.Load("boids")
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, Config{})
	used := a.Heap().Total().Bytes
	start := func() (module.Resident, error) {
		return e.StartResident(t.Context(), a, wasm, module.ResidentConfig{Params: []byte(enginetest.FlockParams), Workers: 2})
	}
	given := func(what string, err error) {
		t.Helper()
		if api.KindOf(err) != api.Unavailable || module.DefectOf(err) != nil {
			t.Errorf("%s: %v", what, err)
		}
		if now := a.Heap().Total().Bytes; now != used || len(a.States().List()) != 0 || e.places != [len(e.places)]bool{} {
			t.Errorf("%s: it left %d bytes, %v, places %v", what, now-used, a.States().List(), e.places)
		}
	}
	for _, global := range []string{"SharedArrayBuffer", "Worker"} {
		back := lack(t, global, "new RangeError('Array buffer allocation failed')")
		_, err := start()
		back()
		given("without "+global, err)
	}
	for _, kind := range []string{"open", "start"} {
		refuse(t, kind, thrown[0])
		_, err := start()
		given(kind, err)
	}
	refuse(t, "run", thrown[1])
	r, err := start()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.Done():
		given("run", r.Err())
	case <-time.After(10 * time.Second):
		t.Error("a resident that cannot be told to run is kept")
		r.Stop()
	}
	if r, err = start(); err != nil {
		t.Fatal(err)
	}
	r.Stop()
}
