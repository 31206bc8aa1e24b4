//go:build js

package webwasm

import (
	"context"
	"encoding/json"
	"strconv"
	"sync/atomic"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/module/guest"
	"inos/kernel/module/meter"
	"inos/kernel/wire"
)

// rules is what guests pay and what bounds them, as messages.ts has it.
type rules struct {
	Slice         int    `json:"slice"`
	IOShift       int    `json:"ioShift"`
	SyscallGas    int    `json:"syscallGas"`
	LogGas        int    `json:"logGas"`
	WASIGas       int    `json:"wasiGas"`
	VecGas        int    `json:"vecGas"`
	SubGas        int    `json:"subGas"`
	RandomGas     int    `json:"randomGas"`
	InitGas       uint64 `json:"initGas"`
	InitWallMS    int    `json:"initWallMS"`
	MaxLogLine    int    `json:"maxLogLine"`
	MaxLogLines   int    `json:"maxLogLines"`
	MaxIOVecs     int    `json:"maxIOVecs"`
	MaxSubs       int    `json:"maxSubs"`
	MaxRandom     int    `json:"maxRandom"`
	ClockStepUS   int    `json:"clockStepUS"`
	RandomContext string `json:"randomContext"`
	WindowInput   int    `json:"windowInput"`
	MaxResponse   int    `json:"maxResponse"`
	MaxSyscall    int    `json:"maxSyscall"`
	MaxMemory     uint64 `json:"maxMemory"`
	ReasonStack   int    `json:"reasonStack"`
	ReasonTable   int    `json:"reasonTable"`
	ImportModule  string `json:"importModule"`
	WASI          string `json:"wasi"`
	Gas           string `json:"gas"`
	Start         string `json:"start"`
}

func (e *Engine) rules() string {
	return encode(rules{
		Slice: meter.Slice, IOShift: guest.IOShift, SyscallGas: guest.SyscallGas, LogGas: guest.LogGas, WASIGas: guest.WASIGas,
		VecGas: guest.VecGas, SubGas: guest.SubGas, RandomGas: guest.RandomGas, InitGas: guest.InitGas, InitWallMS: guest.InitWallMS,
		MaxLogLine: guest.MaxLogLine, MaxLogLines: guest.MaxLogLines, MaxIOVecs: guest.MaxIOVecs, MaxSubs: guest.MaxSubs, MaxRandom: guest.MaxRandom,
		ClockStepUS: guest.ClockStepUS, RandomContext: guest.RandomContext, WindowInput: module.WindowInput,
		MaxResponse: wire.MaxModuleResponse, MaxSyscall: wire.MaxSyscall, MaxMemory: e.cfg.MaxMemory,
		ReasonStack: meter.ReasonStack, ReasonTable: meter.ReasonTable, ImportModule: meter.ImportModule, WASI: module.WASI,
		Gas: meter.GasExport, Start: meter.StartExport,
	})
}

// info is what a worker needs to know of a module, as messages.ts has it.
type info struct {
	ABI           uint16            `json:"abi"`
	Sticky        bool              `json:"sticky"`
	Globals       []string          `json:"globals"`
	MemMax        uint32            `json:"memMax"`
	FirstFunction int               `json:"firstFunction"`
	Types         map[string]string `json:"types"`
}

func infoOf(desc *module.Description, in meter.Info) string {
	out := info{ABI: desc.Manifest.ABI, Sticky: in.Sticky, Globals: append([]string{}, in.Globals...), MemMax: in.MemMax, Types: map[string]string{}}
	for _, i := range in.Imports {
		if i.Kind == bin.KindFunc {
			out.FirstFunction++
			out.Types[i.Module+"."+i.Name] = i.Type
		}
	}
	out.FirstFunction += 2 // the meter's own
	return encode(out)
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain structs of our own
	}
	return string(b)
}

// lives numbers what workers are sent.
var lives atomic.Uint64

// compile meters a module, has a worker compile it and run its first instance up
// to the point where it can take calls. An engine compiles in the time that
// starting takes, and a slot is not needed: what a start may do is bounded.
func (e *Engine) compile(ctx context.Context, desc *module.Description, wasm []byte) (*live, error) {
	metered, in, err := meter.InstrumentWith(wasm, meter.Options{Browser: true})
	if err != nil {
		return nil, err
	}
	if err := guest.CheckSize(in, e.cfg.MaxMemory); err != nil {
		return nil, err
	}
	if err := guest.CheckLinks(in); err != nil {
		return nil, err
	}
	t, err := e.thread("")
	if err != nil {
		return nil, err
	}
	l := &live{key: desc.Hash.String()[:16] + "-" + strconv.FormatUint(lives.Add(1), 10), info: infoOf(desc, in), threads: map[*thread]bool{}}
	if l.code, err = t.compile(ctx, wasm, metered); err == nil {
		err = t.load(ctx, l, desc)
	}
	if err != nil {
		t.end()
		return nil, err
	}
	e.rest(t)
	return l, nil
}

// compileTime bounds one compilation: browsers take a second for 10 MB.
const compileTime = time.Minute

func invalidModule(text string) error {
	return api.Errorf("wasm.load", api.Invalid, "the module is not valid WebAssembly 2.0: "+text)
}
