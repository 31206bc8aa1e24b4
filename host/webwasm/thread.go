//go:build js

package webwasm

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"syscall/js"
	"time"

	"inos/host/browser"
	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/guest"
)

// threads are the module workers that run, and those that wait for work.
type threads struct {
	mu     sync.Mutex
	idle   []*thread   // guarded by mu; the last used last
	all    int         // guarded by mu; at most maxThreads
	reaper *time.Timer // guarded by mu; ends idle threads; nil before the first
}

// maxInbox bounds what a thread says before it is listened to: a call's log lines
// and a few messages more.
const maxInbox = 2 * guest.MaxLogLines

// thread is one module worker. One call at a time has it.
type thread struct {
	engine *Engine
	worker js.Value      // ModuleWorker of frontend/src/tab/modules.ts
	port   *browser.Port // what a guest that waits hears; nil without shared memory
	inbox  chan js.Value
	heard  js.Func
	lost   bool // it said more than maxInbox, or cannot be spoken to: it serves nobody else
	ids    int
	loaded map[string]*live // guarded by engine.threads.mu
	since  time.Time        // guarded by engine.threads.mu; idle since
}

var objectOf = js.Global().Get("Object")

// thread returns a thread that nobody has: one that has loaded the module called
// key, if there is one. The caller hands it to rest, or ends it.
func (e *Engine) thread(key string) (*thread, error) {
	p := &e.threads
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		at := n - 1
		for i, t := range p.idle {
			if t.loaded[key] != nil {
				at = i
			}
		}
		t := p.idle[at]
		p.idle = slices.Delete(p.idle, at, at+1)
		p.mu.Unlock()
		return t, nil
	}
	if p.all >= maxThreads {
		p.mu.Unlock()
		return nil, api.Errorf("wasm.call", api.Unavailable, "64 guests run or wait for system calls in this tab; try again, or another node")
	}
	p.all++
	p.mu.Unlock()
	worker, err := e.try("start a thread for the module", "spawn")
	if err != nil {
		p.mu.Lock()
		p.all--
		p.mu.Unlock()
		return nil, err
	}
	t := &thread{engine: e, worker: worker, inbox: make(chan js.Value, maxInbox), loaded: map[string]*live{}}
	if port := t.worker.Get("port"); port.Truthy() {
		t.port = browser.NewPort(port)
	}
	t.heard = js.FuncOf(func(_ js.Value, args []js.Value) any {
		select {
		case t.inbox <- args[0]:
		default:
			t.lost = true
		}
		return nil
	})
	t.worker.Call("listen", t.heard)
	if err := t.post("rules", map[string]any{"rules": e.rules()}); err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// try calls a method of ModuleWorkers that throws when the tab lacks what it needs.
func (e *Engine) try(what, method string, args ...any) (js.Value, error) {
	v, err := browser.Call(e.workers, method, args...)
	return v, lacking(what, err)
}

// lacking says what a tab could not do; nil when there is no error.
func lacking(what string, err error) error {
	if err == nil {
		return nil
	}
	return api.Errorf("wasm.call", api.Unavailable, "this tab cannot "+what+" ("+err.Error()+"); try again, or another node")
}

// rest keeps an idle thread for the next call.
func (e *Engine) rest(t *thread) {
	p := &e.threads
	p.mu.Lock()
	keep := e.ctx.Err() == nil && !t.lost && len(p.idle) < e.cfg.Workers
	if keep {
		t.since = time.Now()
		p.idle = append(p.idle, t)
		if p.reaper == nil {
			p.reaper = time.AfterFunc(e.cfg.IdleAfter, e.reap)
		}
	}
	p.mu.Unlock()
	if !keep {
		t.end()
	}
}

// reap ends the threads that have been idle for long. It runs while there are any.
func (e *Engine) reap() {
	p := &e.threads
	p.mu.Lock()
	old := 0
	for old < len(p.idle) && time.Since(p.idle[old].since) >= e.cfg.IdleAfter {
		old++
	}
	ended := slices.Clone(p.idle[:old])
	p.idle = slices.Delete(p.idle, 0, old)
	p.reaper = nil
	if len(p.idle) > 0 {
		p.reaper = time.AfterFunc(e.cfg.IdleAfter-time.Since(p.idle[0].since), e.reap)
	}
	p.mu.Unlock()
	for _, t := range ended {
		t.end()
	}
}

// endIdle ends the threads that wait for work.
func (e *Engine) endIdle() {
	p := &e.threads
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	if p.reaper != nil {
		p.reaper.Stop()
	}
	p.mu.Unlock()
	for _, t := range idle {
		t.end()
	}
}

// end terminates the thread.
func (t *thread) end() {
	t.worker.Call("terminate")
	if t.port != nil {
		t.port.Close()
	}
	t.heard.Release()
	p := &t.engine.threads
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	for _, l := range t.loaded {
		delete(l.threads, t)
	}
	clear(t.loaded)
}

// forget has every thread drop a module's code and instances. One that cannot be told
// ends, at the end of its call if it has one.
func (e *Engine) forget(l *live) {
	p := &e.threads
	p.mu.Lock()
	var ended []*thread
	for t := range l.threads {
		delete(t.loaded, l.key)
		if t.post("drop", map[string]any{"hash": l.key}) == nil {
			continue
		}
		t.lost = true
		if at := slices.Index(p.idle, t); at >= 0 {
			p.idle = slices.Delete(p.idle, at, at+1)
			ended = append(ended, t)
		}
	}
	clear(l.threads)
	p.mu.Unlock()
	for _, t := range ended {
		t.end()
	}
}

// post sends a message; the values that are arrays of bytes move. Unavailable when
// the browser cannot: the thread is no good then.
func (t *thread) post(kind string, fields map[string]any, move ...any) error {
	m := objectOf.New()
	m.Set("t", kind)
	for k, v := range fields {
		m.Set(k, v)
	}
	_, err := browser.Call(t.worker, "post", append([]any{m}, move...)...)
	return lacking("hand a module what it needs", err)
}

// id numbers what is asked, so that an answer to something given up is not taken
// for another.
func (t *thread) id() int {
	t.ids++
	return t.ids
}

// hear returns the next message.
func (t *thread) hear(ctx context.Context) (js.Value, error) {
	select {
	case m := <-t.inbox:
		if kind(m) == "crashed" {
			return m, api.Errorf("wasm.call", api.Unavailable, "the module worker of this tab failed: "+m.Get("text").String())
		}
		return m, nil
	case <-ctx.Done():
		return js.Undefined(), ctx.Err()
	}
}

func kind(m js.Value) string { return m.Get("t").String() }

// ask posts and returns the answer to it. The thread has failed when there is an
// error.
func (t *thread) ask(ctx context.Context, what string, fields map[string]any, move ...any) (js.Value, error) {
	id := t.id()
	fields["id"] = id
	if err := t.post(what, fields, move...); err != nil {
		return js.Undefined(), err
	}
	for {
		m, err := t.hear(ctx)
		if err != nil {
			return m, api.E("wasm.call", api.KindOf(err), err)
		}
		if a := m.Get("id"); a.Type() == js.TypeNumber && a.Int() == id {
			return m, nil
		}
	}
}

// compile returns the compiled module, which any thread can be sent.
func (t *thread) compile(ctx context.Context, original, metered []byte) (js.Value, error) {
	ctx, cancel := context.WithTimeout(ctx, compileTime)
	defer cancel()
	code, err := t.engine.bytesToJS(original, metered)
	if err != nil {
		return js.Undefined(), err
	}
	a, err := t.ask(ctx, "compile", map[string]any{"original": code[0], "metered": code[1]}, code...)
	switch {
	case err != nil:
		return a, err
	case kind(a) != "compiled":
		return a, invalidModule(a.Get("text").String())
	}
	return a.Get("module"), nil
}

// startSlack is what a start may take beyond its time before the thread is ended.
const startSlack = 2 * time.Second

// load gives the thread the module, whose first instance it starts.
func (t *thread) load(ctx context.Context, l *live, desc *module.Description) error {
	ctx, cancel := context.WithTimeout(ctx, guest.InitWallMS*time.Millisecond+startSlack)
	defer cancel()
	t.worker.Call("stop", 0)
	a, err := t.ask(ctx, "load", map[string]any{"hash": l.key, "module": l.code, "info": l.info})
	if err != nil {
		return err
	}
	if kind(a) == "failed" {
		return stopOf(a).In("wasm.start")
	}
	if err := guest.CheckABI(uint32(int64(a.Get("abi").Float())), desc.Manifest.ABI); err != nil {
		return err
	}
	t.engine.threads.mu.Lock()
	t.loaded[l.key], l.threads[t] = l, true
	t.engine.threads.mu.Unlock()
	return nil
}

func (t *thread) has(l *live) bool {
	t.engine.threads.mu.Lock()
	defer t.engine.threads.mu.Unlock()
	return t.loaded[l.key] != nil
}

// bytesToJS copies each of list into an array of its own. Unavailable when this tab
// has no memory for them.
func (e *Engine) bytesToJS(list ...[]byte) ([]any, error) {
	out := make([]any, len(list))
	for i, b := range list {
		v, err := e.try("get memory for a module's data", "bytes", len(b))
		if err != nil {
			return nil, err
		}
		js.CopyBytesToJS(v, b)
		out[i] = v
	}
	return out, nil
}

// bytesToGo copies an array.
func bytesToGo(v js.Value) []byte {
	b := make([]byte, v.Get("length").Int())
	js.CopyBytesToGo(b, v)
	return b
}

// number reads a 64-bit number, which travels as text.
func number(m js.Value, name string) uint64 {
	return numberOf(m.Get(name).String())
}

func numberOf(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
