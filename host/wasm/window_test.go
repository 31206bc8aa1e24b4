package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"inos/host/shm"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/epoch"
	"inos/kernel/layout"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/wire"
)

// lending is an engine with an arena and a guest that names a window.
type lending struct {
	engine *Engine
	module *Module
	arena  *arena.Arena
}

const secret = 0x1122334455667788

func windowGuest(t testing.TB) []byte {
	t.Helper()
	m := module.Manifest{Name: "window", Version: "1.0.0", ABI: 2, Units: []module.Unit{{Name: "test"}}}
	for _, f := range []string{"echo", "poke", "foo", "inc", "sum", "peek", "wait", "alien", "tick", "scan"} {
		m.Units[0].Methods = append(m.Units[0].Methods, module.Method{Name: f})
	}
	b, err := wire.EncodeModuleManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	return bin.AppendSection(readFile(t, "window"), bin.Custom, append(bin.AppendName(nil, module.Section), b...))
}

func newLending(t testing.TB, tier, workers int) *lending {
	t.Helper()
	region, err := shm.Create(layout.Tiers[tier].Size)
	if err != nil {
		t.Fatal(err)
	}
	a, err := arena.Format(region.Bytes(), tier)
	if err != nil {
		t.Fatal(err)
	}
	region.OnClose(a.Close)
	t.Cleanup(func() { _ = region.Close() })
	e := newEngine(t, Config{Workers: workers, Arena: region})
	return &lending{engine: e, module: load(t, e, windowGuest(t)), arena: a}
}

// span allocates n bytes of the arena, each word the secret.
func (l *lending) span(t testing.TB, n uint64) (module.Loan, []byte) {
	t.Helper()
	s, err := l.arena.Heap().Alloc(arena.KernelOwner, n)
	if err != nil {
		t.Fatal(err)
	}
	b := l.arena.Heap().Bytes(s)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], secret)
	}
	return module.Loan{Off: s.Off, Len: n}, b
}

func (l *lending) call(t testing.TB, method string, loan *module.Loan) module.Result {
	t.Helper()
	c := call(method)
	c.Loan = loan
	res, err := l.module.Call(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func words(b []byte) []uint64 {
	out := make([]uint64, len(b)/8)
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return out
}

// A guest that writes through a loan to read changes its own copy and nothing
// else, whether the loan is mapped or copied.
func TestRogueWriteThroughALoanToReadReachesNobody(t *testing.T) {
	l := newLending(t, 1, 1)
	for _, size := range []uint64{4096, module.WindowInput, 3 << 20} {
		loan, b := l.span(t, size)
		before := bytes.Clone(b)
		for range 3 {
			got := words(l.call(t, "poke", &loan).Output)
			if got[0] != secret || got[1] != 0xeeeeeeeeeeeeeeee {
				t.Errorf("%d bytes: the guest saw %x", size, got)
			}
			if !bytes.Equal(b, before) {
				t.Fatalf("%d bytes: the guest's writes reached the arena", size)
			}
		}
	}
}

// Nothing of a loan is left in an instance that serves another call, though the
// guest looks through all of its memory.
func TestNothingOfALoanStays(t *testing.T) {
	l := newLending(t, 1, 1)
	for _, write := range []bool{false, true} {
		for _, size := range []uint64{4096, module.WindowInput, 6 << 20} {
			loan, b := l.span(t, size)
			loan.Write = write
			if n := binary.LittleEndian.Uint32(l.call(t, "scan", &loan).Output); uint64(n) != size/8 {
				t.Fatalf("the borrower saw %d words of %d", n, size/8)
			}
			c := call("scan")
			c.Input = make([]byte, size) // as much memory as the borrower had
			res, err := l.module.Call(context.Background(), c)
			if err != nil {
				t.Fatal(err)
			}
			if n := binary.LittleEndian.Uint32(res.Output); n != 0 {
				t.Errorf("%d bytes, write %v: the next guest saw %d words of the loan", size, write, n)
			}
			if words(b)[size/8-1] != secret {
				t.Errorf("%d bytes, write %v: taking the loan back changed the arena", size, write)
			}
			if err := l.arena.Heap().Free(arena.KernelOwner, loan.Off); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// While one guest holds a loan, another that looks everywhere finds nothing of it.
func TestAGuestCannotReadAnothersLoan(t *testing.T) {
	l := newLending(t, 1, 2)
	loan, _ := l.span(t, 2<<20)
	loan.Write = true
	cell := epoch.New(make([]byte, layout.EpochCellSize+64)[:layout.EpochCellSize])
	loan.Cells = []*epoch.Cell{cell}
	done := make(chan error, 1)
	go func() {
		c := call("wait")
		c.Loan = &loan
		_, err := l.module.Call(context.Background(), c)
		done <- err
	}()
	awaitWaiter(t, cell)
	mine, _ := l.span(t, 2<<20)
	for i := range words(l.arena.Heap().Bytes(arena.Span{Off: mine.Off, Len: mine.Len})) {
		binary.LittleEndian.PutUint64(l.arena.Heap().Bytes(arena.Span{Off: mine.Off, Len: mine.Len})[8*i:], 1)
	}
	if n := binary.LittleEndian.Uint32(l.call(t, "scan", &mine).Output); n != 0 {
		t.Errorf("the other guest saw %d words of the loan", n)
	}
	c := call("alien")
	c.Loan = &mine
	if _, err := l.module.Call(context.Background(), c); api.KindOf(err) != api.Trapped {
		t.Errorf("waiting for a cell that was not lent: %v", err)
	}
	cell.Advance()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func awaitWaiter(t testing.TB, cell *epoch.Cell) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		if here, _ := cell.Waiters(); here > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the guest does not wait")
		}
	}
}

// A loan revoked in the middle of a call reads as zeros from then on, and what the
// guest writes there reaches nobody.
func TestReadsAfterRevocationGiveZeros(t *testing.T) {
	for _, write := range []bool{false, true} {
		l := newLending(t, 1, 1)
		loan, b := l.span(t, module.WindowInput)
		loan.Write = write
		cell := epoch.New(make([]byte, layout.EpochCellSize))
		loan.Cells = []*epoch.Cell{cell}
		w, err := l.module.Lend(context.Background(), loan)
		if err != nil {
			t.Fatal(err)
		}
		var res module.Result
		done := make(chan error, 1)
		go func() {
			var err error
			res, err = w.Call(context.Background(), call("wait"))
			done <- err
		}()
		awaitWaiter(t, cell)
		before := bytes.Clone(b)
		if err := w.Revoke(); err != nil {
			t.Fatal(err)
		}
		cell.Advance()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := words(res.Output); got[0] != secret || got[1] != 0 || got[2] != 1 {
			t.Errorf("write %v: the guest saw %x, then %x after the revocation", write, got[0], got[1])
		}
		if !bytes.Equal(b, before) {
			t.Errorf("write %v: a write after the revocation reached the arena", write)
		}
		if _, err := w.Call(context.Background(), call("peek")); api.KindOf(err) != api.Closed {
			t.Errorf("a call through a revoked window: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A standing window shows what the lender writes between calls, in both kinds;
// a rogue write of an earlier call is gone.
func TestStandingWindow(t *testing.T) {
	l := newLending(t, 1, 1)
	for _, write := range []bool{false, true} {
		loan, b := l.span(t, 2<<20)
		loan.Write = write
		w, err := l.module.Lend(context.Background(), loan)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(5) {
			binary.LittleEndian.PutUint64(b, i)
			res, err := w.Call(context.Background(), call("poke"))
			if err != nil {
				t.Fatal(err)
			}
			if got := words(res.Output)[0]; got != i {
				t.Errorf("write %v: the guest saw %x, want %x", write, got, i)
			}
			if wrote := words(b)[0] == 0xeeeeeeeeeeeeeeee; wrote != write {
				t.Errorf("write %v: the arena has %x", write, words(b)[0])
			}
		}
		if _, err := w.Call(context.Background(), call("foo")); api.KindOf(err) != api.Trapped {
			t.Fatal(err)
		}
		if _, err := w.Call(context.Background(), call("peek")); err != nil {
			t.Errorf("the call after a trap: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestEpochWaitEndsWithTheCall(t *testing.T) {
	l := newLending(t, 1, 1)
	loan, _ := l.span(t, 65536)
	cell := epoch.New(make([]byte, layout.EpochCellSize))
	loan.Cells = []*epoch.Cell{cell}
	if v := binary.LittleEndian.Uint32(l.call(t, "tick", &loan).Output); v != 0 {
		t.Errorf("the wait ended with %d", v)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { awaitWaiter(t, cell); cancel() }()
	c := call("wait")
	c.Loan = &loan
	if _, err := l.module.Call(ctx, c); api.KindOf(err) != api.Canceled {
		t.Errorf("a canceled wait: %v", err)
	}
	c.Limits.WallMS = 20
	if _, err := l.module.Call(context.Background(), c); api.KindOf(err) != api.Timeout {
		t.Errorf("a wait beyond the time limit: %v", err)
	}
}

// Gas does not tell how an input came: three ways, one price.
func TestALoanCostsWhatACopyCosts(t *testing.T) {
	l := newLending(t, 1, 1)
	for _, size := range []uint64{4096, 2 << 20, 2<<20 + 4096} {
		loan, b := l.span(t, size)
		c := call("sum")
		c.Input = bytes.Clone(b[:size])
		copied, err := l.module.Call(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		lent := l.call(t, "sum", &loan)
		loan.Write = true
		shared := l.call(t, "sum", &loan)
		if copied.Gas != lent.Gas || lent.Gas != shared.Gas || !bytes.Equal(copied.Output, lent.Output) || !bytes.Equal(lent.Output, shared.Output) {
			t.Errorf("%d bytes: gas %d, %d, %d", size, copied.Gas, lent.Gas, shared.Gas)
		}
	}
}

func TestLoansThatAreRefused(t *testing.T) {
	l := newLending(t, 1, 1)
	end := layout.Tiers[1].Size
	for name, loan := range map[string]module.Loan{
		"the tables":  {Off: layout.JobsOffset &^ 65535, Len: 65536, Write: true},
		"in a window": {Off: layout.HeapOffset + 4096, Len: 4096},
		"nothing":     {Off: layout.HeapOffset},
		"beyond":      {Off: end - 65536, Len: 65537},
		"far beyond":  {Off: end, Len: 1},
		"wrapping":    {Off: 1<<64 - 65536, Len: 65536},
		"too many":    {Off: layout.HeapOffset, Len: 1, Cells: make([]*epoch.Cell, 9)},
		"too large":   {Off: layout.HeapOffset, Len: api.MaxInput + 1},
	} {
		c := call("peek")
		c.Loan = &loan
		if _, err := l.module.Call(context.Background(), c); err == nil {
			t.Errorf("a loan of %s is granted", name)
		}
		if w, err := l.module.Lend(context.Background(), loan); err == nil {
			t.Errorf("a window over %s is opened", name)
			_ = w.Close()
		}
	}
	c := call("peek")
	c.Loan = &module.Loan{Off: layout.HeapOffset + 65536, Len: 8}
	if _, err := load(t, newEngine(t, Config{}), windowGuest(t)).Call(context.Background(), c); api.KindOf(err) != api.Unsupported {
		t.Errorf("an engine without arena: %v", err)
	}
}

// Three modules pass 64 MiB along. Nothing is moved, and what each of them did is
// in the one span.
func TestPipelineMovesNothing(t *testing.T) {
	const size = 64 << 20
	l := newLending(t, 2, 1)
	s, err := l.arena.Heap().Alloc(arena.KernelOwner, size)
	if err != nil {
		t.Fatal(err)
	}
	b := l.arena.Heap().Bytes(s)
	binary.LittleEndian.PutUint64(b, 5)
	binary.LittleEndian.PutUint64(b[size-8:], 6)
	loan := module.Loan{Off: s.Off, Len: size, Write: true}
	c := call("inc")
	c.Limits = api.Limits{MemoryBytes: 128 << 20, OutputBytes: size}
	step := module.Step{Module: l.module, Call: c}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := module.Pipeline(context.Background(), loan, step, step, step)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if first, last := words(b[:8])[0], words(b[size-8:])[0]; first != 8 || last != 9 {
		t.Errorf("the span has %d and %d, want 8 and 9", first, last)
	}
	if res.Output != nil || *res.Loaned != (module.Part{Len: size}) {
		t.Errorf("%d bytes of output, loaned %+v", len(res.Output), res.Loaned)
	}
	if grew := after.TotalAlloc - before.TotalAlloc; runtime.GOOS == "linux" && (res.Moved != 0 || grew > 1<<20) {
		t.Errorf("%d bytes were moved, %d allocated", res.Moved, grew)
	}
	peek := module.Step{Module: l.module, Call: call("peek")}
	if _, err := module.Pipeline(context.Background(), loan, step, peek, step); api.KindOf(err) != api.Invalid {
		t.Errorf("a step that answers with other bytes: %v", err)
	}
}
