package modules_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"inos/host/shm"
	"inos/host/wasm"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
	"inos/kernel/module"
	"inos/kernel/syscall"
	"inos/modules"
)

// lending loads a module into an engine with an arena and lends it size bytes.
func lending(t *testing.T, name string, size uint64) (module.Module, module.Loan, []byte) {
	t.Helper()
	region, err := shm.Create(layout.Tiers[2].Size)
	if err != nil {
		t.Fatal(err)
	}
	a, err := arena.Format(region.Bytes(), 2)
	if err != nil {
		t.Fatal(err)
	}
	region.OnClose(a.Close)
	t.Cleanup(func() { _ = region.Close() })
	e, err := wasm.New(wasm.Config{Workers: 1, Arena: region})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	b, err := modules.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Load(context.Background(), module.HashOf(b), b)
	if err != nil {
		t.Fatal(err)
	}
	span, err := a.Heap().Alloc(arena.KernelOwner, size)
	if err != nil {
		t.Fatal(err)
	}
	mem := a.Heap().Bytes(span)[:size]
	for i := range mem {
		mem[i] = byte(i * 7)
	}
	return m, module.Loan{Off: span.Off, Len: size}, mem
}

func windowCall(method string) module.Call {
	return module.Call{Unit: "window", Method: method, Limits: api.Limits{MemoryBytes: 128 << 20, OutputBytes: 64 << 20}}
}

// A method written with the Rust SDK reads a loan where it lies: the node copies the
// answer and nothing else, in single calls and through a standing window.
func TestRustReadsAWindow(t *testing.T) {
	m, loan, mem := lending(t, "diagnostics", 5<<20+3)
	var want uint64
	padded := append(bytes.Clone(mem), make([]byte, 8)...)
	for i := 0; i < len(mem); i += 8 {
		want += binary.LittleEndian.Uint64(padded[i:])
	}
	check := func(how string, res module.Result, err error) {
		t.Helper()
		if err != nil || string(res.Output) != fmt.Sprintln(want) || res.Moved != uint64(len(res.Output)) {
			t.Errorf("%s: %q with %d bytes moved, %v; want %d", how, res.Output, res.Moved, err, want)
		}
	}
	c := windowCall("sum")
	c.Loan = &loan
	res, err := m.Call(context.Background(), c)
	check("lent", res, err)
	w, err := m.(module.Lender).Lend(context.Background(), loan)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 3 {
		res, err = w.Call(context.Background(), windowCall("sum"))
		check("standing", res, err)
	}
	if err := w.Revoke(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Call(context.Background(), windowCall("sum")); api.KindOf(err) != api.Closed {
		t.Errorf("after the revocation: %v", err)
	}
}

// objects is a node that has one object, for system calls of a module.
type objects struct {
	syscall.Services
	data   []byte
	stored []byte
}

func (o *objects) Fetch(_ context.Context, _ *syscall.Caller, q syscall.Fetch) ([]byte, uint64, error) {
	return o.data[q.Offset:][:min(uint64(q.Length), uint64(len(o.data))-q.Offset)], uint64(len(o.data)), nil
}

func (o *objects) Store(_ context.Context, _ *syscall.Caller, q syscall.Store) (api.Link, error) {
	o.stored = bytes.Clone(q.Data)
	return api.Link{Root: api.Address{7}}, nil
}

// System calls move bytes into and out of windows: what a guest fetches into a loan to
// write lies in the arena, and what it stores of one comes from there.
func TestSystemCallsReachTheArena(t *testing.T) {
	m, loan, mem := lending(t, "diagnostics", 5<<20)
	loan.Write = true
	o := &objects{data: bytes.Repeat([]byte("an object. "), 1<<19)}
	k, err := syscall.New(syscall.Config{Services: o, Now: func() int64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	link := api.Link{Root: api.Address{9}}
	call := func(unit, method, params string) module.Result {
		t.Helper()
		c := windowCall(method)
		c.Unit, c.Loan, c.Params = unit, &loan, []byte(params)
		c.Syscalls = k.Open(syscall.Caller{Module: m.Description(), Params: c.Params, Limits: c.Limits.WithDefaults()})
		res, err := m.Call(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	res := call("window", "load", fmt.Sprintf(`{"link":%q,"offset":3}`, link))
	if res.Loaned == nil || res.Loaned.Len != loan.Len || res.Moved != 0 || !bytes.Equal(mem, o.data[3:][:len(mem)]) {
		t.Errorf("after loading the arena holds %q..., %+v, %d bytes moved", mem[:20], res.Loaned, res.Moved)
	}
	copy(mem, "written by the lender")
	if res := call("chunk", "store", `{"name":"window"}`); !bytes.Equal(o.stored, mem) || res.Moved > 200 {
		t.Errorf("%d bytes of %d were stored, %d moved", len(o.stored), len(mem), res.Moved)
	}
}

// Methods that work in place pass 64 MiB along without a copy, and a loan to read
// stays as it was whatever they do to it.
func TestRustWorksInAWindow(t *testing.T) {
	m, loan, mem := lending(t, "diagnostics", 64<<20)
	before := bytes.Clone(mem)
	c := windowCall("invert")
	c.Loan = &loan
	res, err := m.Call(context.Background(), c)
	if err != nil || res.Loaned != nil || len(res.Output) != len(mem) || res.Output[1] != ^mem[1] {
		t.Fatalf("a loan to read: %d bytes, %v", len(res.Output), err)
	}
	if !bytes.Equal(mem, before) {
		t.Fatal("writes in a loan to read reached the arena")
	}
	loan.Write = true
	step := module.Step{Module: m, Call: windowCall("invert")}
	res, err = module.Pipeline(context.Background(), loan, step, step, step)
	if err != nil || res.Moved != 0 || res.Loaned == nil || *res.Loaned != (module.Part{Len: loan.Len}) {
		t.Fatalf("pipeline: %+v with %d bytes moved, %v", res.Loaned, res.Moved, err)
	}
	for i, b := range before {
		if mem[i] != ^b {
			t.Fatalf("byte %d is %#x after three inversions of %#x", i, mem[i], b)
		}
	}
}
