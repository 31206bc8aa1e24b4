package wasm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"inos/host/enginetest"
	"inos/host/shm"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
	"inos/kernel/module"
	"inos/modules"
)

// aviary is an engine with an arena, and the built-in flock.
type aviary struct {
	engine *Engine
	arena  *arena.Arena
	mem    []byte
	boids  []byte
}

func newAviary(t testing.TB) *aviary {
	t.Helper()
	region, err := shm.Create(layout.Tiers[layout.DefaultTier].Size)
	if err != nil {
		t.Fatal(err)
	}
	a, err := arena.Format(region.Bytes(), layout.DefaultTier)
	if err != nil {
		t.Fatal(err)
	}
	region.OnClose(a.Close)
	t.Cleanup(func() { _ = region.Close() })
	b, err := modules.Load("boids")
	if err != nil {
		t.Fatal(err)
	}
	return &aviary{engine: newEngine(t, Config{Arena: region}), arena: a, mem: region.Bytes(), boids: b}
}

func (a *aviary) start(t testing.TB, agents, workers int) *Resident {
	t.Helper()
	r, err := a.engine.StartResident(context.Background(), a.arena, a.boids, ResidentConfig{
		Params: fmt.Appendf(nil, `{"agents":%d,"seed":7}`, agents), Workers: workers,
		Log: func(_ module.LogLevel, line []byte) { t.Logf("%s", line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.(*Resident)
}

// version awaits the given version of the state and returns what it shows, or a
// later one.
func version(t testing.TB, a *arena.Arena, least uint32) ([]byte, uint32) {
	t.Helper()
	s, err := a.States().Open("boids")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for v := s.Cell().Load(); v < least; {
		if v, err = s.Cell().Await(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, s.Most())
	n, v, err := s.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n], v
}

// The flock moves in the arena, inside its box, and gives everything back.
func TestFlockInTheArena(t *testing.T) {
	a := newAviary(t)
	used := a.arena.Heap().Total()
	for range 2 { // its place can be used again
		r := a.start(t, 1000, 2)
		one, v := version(t, a.arena, 1)
		two, _ := version(t, a.arena, v+3)
		if len(one) != 6*4*1000 || bytes.Equal(one, two) {
			t.Errorf("%d bytes, which do not change", len(one))
		}
		for i := range 3000 {
			if at := math.Float32frombits(binary.LittleEndian.Uint32(two[4*i:])); !(at >= 0 && at < 1) {
				t.Fatalf("coordinate %d is %v", i, at)
			}
		}
		if _, err := a.engine.StartResident(context.Background(), a.arena, a.boids, ResidentConfig{}); api.KindOf(err) != api.Conflict {
			t.Errorf("a second one in the same place: %v", err)
		}
		r.Stop()
		if r.Err() != nil || r.Steps() < 3 || r.Gas() == 0 {
			t.Errorf("%v, %d steps, %d gas", r.Err(), r.Steps(), r.Gas())
		}
		if _, err := a.arena.States().Open("boids"); api.KindOf(err) != api.NotFound {
			t.Errorf("its state is still there: %v", err)
		}
		if now := a.arena.Heap().Total(); now.Bytes != used.Bytes || a.arena.Heap().Faults().Leaks != 0 {
			t.Errorf("it left %d bytes, %+v", now.Bytes-used.Bytes, a.arena.Heap().Faults())
		}
	}
}

// The number of workers changes no bit of any state.
func TestWorkersDoNotChangeTheFlock(t *testing.T) {
	const upTo = 40
	want := map[uint32][]byte{}
	for _, workers := range []int{1, 2, 3} {
		matched := false
		for try := 0; !matched; try++ {
			if try == 20 {
				t.Fatalf("no version that %d workers showed was seen of one", workers)
			}
			for v, got := range flockVersions(t, workers, upTo) {
				if want[v] == nil && workers == 1 {
					want[v] = got
				}
				if want[v] != nil && !bytes.Equal(got, want[v]) {
					t.Fatalf("%d workers compute another version %d", workers, v)
				}
				matched = matched || want[v] != nil
			}
		}
	}
}

// flockVersions catches as many of the first versions of a flock as the machine
// is fast enough to see, and one at least.
func flockVersions(t *testing.T, workers int, upTo uint32) map[uint32][]byte {
	t.Helper()
	a := newAviary(t)
	r, err := a.engine.StartResident(context.Background(), a.arena, a.boids, ResidentConfig{Params: []byte(`{"agents":600}`), Workers: workers, Rate: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	seen := map[uint32][]byte{}
	for v := uint32(0); v < upTo; {
		var b []byte
		b, v = version(t, a.arena, v+1)
		seen[v] = b
	}
	return seen
}

// A resident writes nothing outside its place, its spans and its states.
func TestResidentKeepsToItself(t *testing.T) {
	a := newAviary(t)
	span, err := a.arena.Heap().Alloc(arena.KernelOwner, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	mine := a.arena.Heap().Bytes(span)
	for i := range mine {
		mine[i] = 0x5a
	}
	r := a.start(t, 2000, 2)
	version(t, a.arena, 5)
	r.Stop()
	if !bytes.Equal(mine, bytes.Repeat([]byte{0x5a}, len(mine))) {
		t.Error("the resident wrote to another's span")
	}
	others := a.mem[layout.ResidentsOffset+layout.ResidentsStride : layout.ResidentsOffset+layout.ResidentsBytes]
	if !bytes.Equal(others, make([]byte, len(others))) {
		t.Error("the resident wrote to other places")
	}
}

func TestResidentsThatAreRefused(t *testing.T) {
	a := newAviary(t)
	for name, tt := range map[string]struct {
		wasm []byte
		cfg  ResidentConfig
		kind api.Kind
	}{
		"a guest":       {probe(t), ResidentConfig{}, api.Invalid},
		"workers":       {a.boids, ResidentConfig{Workers: 9}, api.Invalid},
		"parameters":    {a.boids, ResidentConfig{Params: []byte(`{"agents":1}`)}, api.Invalid},
		"no parameters": {a.boids, ResidentConfig{Params: []byte(`[]`)}, api.Invalid},
	} {
		if _, err := a.engine.StartResident(context.Background(), a.arena, tt.wasm, tt.cfg); api.KindOf(err) != tt.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.engine.Load(context.Background(), module.HashOf(a.boids), a.boids); api.KindOf(err) != api.Invalid {
		t.Errorf("a resident as a guest: %v", err)
	}
	taken, err := a.arena.States().Make(arena.KernelOwner, "boids", 64)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.engine.StartResident(context.Background(), a.arena, a.boids, ResidentConfig{}); api.KindOf(err) != api.Exhausted {
		t.Errorf("a state whose name is taken (%d bytes): %v", taken.Most(), err)
	}
}

// A resident's compiled code is kept for its next start, and made anew when the
// disk spoiled it.
func TestResidentsUseCompiledCode(t *testing.T) {
	a := newAviary(t)
	a.engine.cfg.CacheDir = t.TempDir()
	code := func() (files []string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(a.engine.cfg.CacheDir, "*", "wazero-*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	h := module.HashOf(a.boids)
	for i := range 3 {
		whole := openCache(a.engine.cfg.CacheDir, h, wazeroEngine{}).whole
		if whole != (i == 1) {
			t.Errorf("start %d finds code: %v", i, whole)
		}
		r := a.start(t, 1000, 2)
		version(t, a.arena, 2)
		r.Stop()
		if r.Err() != nil || len(code()) == 0 {
			t.Fatalf("start %d: %v, %d files of code", i, r.Err(), len(code()))
		}
		if i == 1 {
			if err := os.WriteFile(code()[0], []byte("spoiled"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A resident stops at once whatever its workers are at, also when some wait for
// others that have ended.
func TestResidentStopsWhileItsWorkersWait(t *testing.T) {
	a := newAviary(t)
	for range 8 {
		r := a.start(t, 2000, 3)
		version(t, a.arena, 2)
		began := time.Now()
		r.Stop()
		if took := time.Since(began); took > 10*time.Second { // 0.1 s on a quiet machine, a minute when the meter does not count waits
			t.Errorf("it stopped after %s", took)
		}
	}
}

// Closing the engine ends a resident in the middle of its steps.
func TestCloseStopsResidents(t *testing.T) {
	a := newAviary(t)
	r := a.start(t, 50_000, 2)
	version(t, a.arena, 1)
	if err := a.engine.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.Done():
	default:
		t.Error("the resident still runs")
	}
}

// cpuTime is what this process has computed for, by all its threads.
func cpuTime(b *testing.B) time.Duration {
	raw, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		b.Skip("no /proc")
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')'):]))
	user, _ := strconv.Atoi(fields[12])
	system, _ := strconv.Atoi(fields[13])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// BenchmarkFlock reports the time of a step, and the processor time of all its
// workers, which a busy machine changes less.
func BenchmarkFlock(b *testing.B) {
	for _, agents := range []int{10_000, 50_000} {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%d-agents/%d-workers", agents, workers), func(b *testing.B) {
				a := newAviary(b)
				r := a.start(b, agents, workers)
				defer r.Stop()
				_, v := version(b, a.arena, 10)
				before := cpuTime(b)
				b.ResetTimer()
				version(b, a.arena, v+uint32(b.N))
				b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
			})
		}
	}
}

// The flock is what it was when flock.json was written, with any number of workers.
func TestFlockIsTheSameEverywhere(t *testing.T) {
	seen := enginetest.Flock{}
	for _, workers := range []int{1, 3} {
		a := newAviary(t)
		r, err := a.engine.StartResident(context.Background(), a.arena, a.boids, module.ResidentConfig{Params: []byte(enginetest.FlockParams), Workers: workers, Rate: 40})
		if err != nil {
			t.Fatal(err)
		}
		for v := uint32(1); v < 40; {
			state, at := version(t, a.arena, v)
			seen.See(t, at, state)
			v = at + 1
		}
		r.Stop()
	}
	seen.Check(t)
}
