package wasm

import (
	"inos/host/internal/machine"
	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/module/meter"
	"inos/kernel/wire"
)

// imports are the functions of the module "inos" that guests import.
var imports = map[string]func(in *instance, stack []uint64){
	"log": func(in *instance, s []uint64) {
		in.log(uint32(s[0]), wire.Span{Pointer: uint32(s[1]), Length: uint32(s[2])})
	},
	"syscall": func(in *instance, s []uint64) {
		s[0] = in.syscall(wire.Span{Pointer: uint32(s[0]), Length: uint32(s[1])})
	},
	"epoch_wait": func(in *instance, s []uint64) {
		s[0] = uint64(in.epochWait(uint32(s[0]), uint32(s[1]), uint32(s[2])))
	},
}

// link resolves what a metered module imports.
func link(mod, name string, t machine.Type) (machine.HostFunc, error) {
	if mod == meter.ImportModule {
		return func(g any, stack []uint64) {
			stack[0] = g.(*instance).slice(int64(stack[0]), uint32(stack[1]))
		}, nil
	}
	if err := guest.CheckImport(mod, name, string(t)); err != nil {
		return nil, err
	}
	if mod == module.WASI {
		return linkWASI(name, t), nil
	}
	f := imports[name]
	return func(g any, stack []uint64) { f(g.(*instance), stack) }, nil
}

// log serves inos.log. A span outside memory traps, as a load would.
func (in *instance) log(level uint32, at wire.Span) {
	in.charge(guest.LogGas)
	line, ok := in.view(at)
	if !ok {
		panic(guest.BadLog)
	}
	in.emit(module.LogLevel(min(level, uint32(module.Error))), line)
}

// emit passes one line on, within bounds.
func (in *instance) emit(level module.LogLevel, line []byte) {
	r := &in.run
	if r.call == nil || r.call.Log == nil || r.lines == guest.MaxLogLines {
		return
	}
	r.lines++
	r.call.Log(level, line[:min(len(line), guest.MaxLogLine)])
}
