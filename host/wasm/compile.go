package wasm

import (
	"fmt"
	"strings"
	"sync"

	"inos/host/internal/machine"
	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/module/meter"
)

// live is a module's compiled code and its idle instances.
type live struct {
	engine *Engine
	desc   *module.Description
	info   meter.Info
	cache  *codeCache
	code   machine.Code

	mu       sync.Mutex
	free     []*instance // guarded by mu; at most Workers and reserved, the last used last
	reserved int         // guarded by mu; see Module.Prewarm
	img      *image      // guarded by mu; state after _initialize, nil before the first instance or when Sticky
}

// compile meters and compiles a module and runs its first instance up to the
// point where it can take calls. An error is marked as module.Defect when it is
// the module's doing.
func (e *Engine) compile(desc *module.Description, wasm []byte) (_ *live, err error) {
	defer func() { err = module.StartDefect(err) }()
	l := &live{engine: e, desc: desc, cache: openCache(e.cfg.CacheDir, desc.Hash, e.cfg.Machines)}
	metered, info, ok := l.cache.rewritten()
	if !ok {
		l.cache.whole = false
		if metered, info, err = meter.Instrument(wasm); err != nil {
			return nil, err
		}
	}
	if err := guest.CheckSize(info, e.cfg.MaxMemory); err != nil {
		return nil, err
	}
	l.info = info
	if err := l.build(wasm, metered); err != nil {
		l.close()
		return nil, err
	}
	in, err := l.instantiate()
	if err != nil {
		l.close()
		return nil, err
	}
	l.put(in)
	return l, nil
}

// build compiles, from the cache when it holds an intact entry. An entry that
// the engine will not take is thrown away and written anew.
func (l *live) build(original, metered []byte) error {
	if !l.cache.trusted() {
		if err := validate(original); err != nil {
			return err
		}
	}
	err := l.start(metered)
	if err != nil && l.cache.trusted() {
		l.cache.discard()
		if metered, l.info, err = meter.Instrument(original); err == nil {
			err = l.start(metered)
		}
	}
	if err != nil {
		return err
	}
	l.cache.keep(metered, l.info)
	l.cache.seal()
	return nil
}

func (l *live) start(metered []byte) (err error) {
	defer recoverAs(&err, "wasm.compile")
	code, err := l.engine.cfg.Machines.Compile(metered, l.cache.dir, link)
	if err != nil {
		return err
	}
	for name, t := range code.Exports() {
		if err := guest.CheckExport(name, string(t)); err != nil {
			code.Close()
			return err
		}
	}
	l.code = code
	return nil
}

func invalidModule(err error) error {
	msg, _, _ := strings.Cut(err.Error(), "\n")
	return api.Errorf("wasm.load", api.Invalid, "the module is not valid WebAssembly 2.0: "+msg)
}

// recoverAs turns a panic of the engine into an error, so that no module takes
// the node down.
func recoverAs(err *error, op string) {
	if r := recover(); r != nil {
		*err = api.Errorf(op, api.Invalid, fmt.Sprintf("the engine gave up on the module: %v", r))
	}
}

// drain closes the idle instances.
func (l *live) drain() {
	l.mu.Lock()
	free := l.free
	l.free = nil
	l.mu.Unlock()
	for _, in := range free {
		in.close()
	}
}

// close frees everything. No instance may be in use.
func (l *live) close() {
	l.drain()
	if l.code != nil {
		l.code.Close()
		l.code = nil
	}
	if l.img != nil {
		l.img.close()
		l.img = nil
	}
}
