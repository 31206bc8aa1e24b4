package wasm

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	wazeroapi "github.com/tetratelabs/wazero/api"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/meter"
	"inos/modules"
)

func BenchmarkNoopCall(b *testing.B) {
	m := load(b, newEngine(b, Config{}), probe(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Call(context.Background(), call("echo")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEcho1MiB(b *testing.B) {
	m := load(b, newEngine(b, Config{}), probe(b))
	c := call("echo")
	c.Input = make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		if _, err := m.Call(context.Background(), c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInstantiate(b *testing.B) {
	m := load(b, newEngine(b, Config{}), probe(b))
	l, err := m.acquire(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer m.release(l)
	for b.Loop() {
		in, err := l.instantiate()
		if err != nil {
			b.Fatal(err)
		}
		in.close()
	}
}

// BenchmarkStop reports how long after its deadline an endless loop ends.
func BenchmarkStop(b *testing.B) {
	m := load(b, newEngine(b, Config{}), probe(b))
	c := call("loop")
	c.Limits = api.Limits{Gas: 1 << 50, WallMS: 5}
	var over time.Duration
	n := 0
	for b.Loop() {
		began := time.Now()
		if _, err := m.Call(context.Background(), c); api.KindOf(err) != api.Timeout {
			b.Fatal(err)
		}
		over += time.Since(began) - 5*time.Millisecond
		n++
	}
	b.ReportMetric(float64(over.Microseconds())/float64(n), "us-late/op")
}

// BenchmarkGasOverhead runs the same loops as they are and metered.
func BenchmarkGasOverhead(b *testing.B) {
	for _, name := range []string{"work", "fib", "sieve"} {
		wasm, err := os.ReadFile("testdata/bench.wasm")
		if err != nil {
			b.Skip(err)
		}
		metered, _, err := meter.Instrument(wasm)
		if err != nil {
			b.Fatal(err)
		}
		for _, v := range []struct {
			kind string
			wasm []byte
		}{{"plain", wasm}, {"metered", metered}} {
			b.Run(name+"/"+v.kind, func(b *testing.B) {
				f := benchInstance(b, v.wasm).ExportedFunction(name)
				stack := make([]uint64, 1)
				for b.Loop() {
					stack[0] = 25
					if err := f.CallWithStack(context.Background(), stack); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func benchInstance(b testing.TB, wasm []byte) wazeroapi.Module { return benchModule(b, wasm)() }

// benchModule compiles once and returns a function that makes instances.
func benchModule(b testing.TB, wasm []byte) func() wazeroapi.Module {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(wazeroapi.CoreFeaturesV2))
	b.Cleanup(func() { _ = r.Close(ctx) })
	_, err := r.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoFunction(wazeroapi.GoFunc(func(_ context.Context, s []uint64) {
			_ = time.Now()
			s[0] = meter.Slice
		}), []wazeroapi.ValueType{i64, i32}, []wazeroapi.ValueType{i64}).Export(meter.ImportSlice).Instantiate(ctx)
	if err != nil {
		b.Fatal(err)
	}
	_, err = r.NewHostModuleBuilder("inos").NewFunctionBuilder().
		WithGoFunction(wazeroapi.GoFunc(func(context.Context, []uint64) {}), []wazeroapi.ValueType{i32, i32, i32}, nil).
		Export("log").Instantiate(ctx)
	if err != nil {
		b.Fatal(err)
	}
	c, err := r.CompileModule(ctx, wasm)
	if err != nil {
		b.Fatal(err)
	}
	return func() wazeroapi.Module {
		m, err := r.InstantiateModule(ctx, c, wazero.NewModuleConfig().WithName(""))
		if err != nil {
			b.Fatal(err)
		}
		return m
	}
}

// BenchmarkIdleInstances reports the memory of instances that have served a call
// and wait for the next: 1,000 at once, of a small module.
func BenchmarkIdleInstances(b *testing.B) {
	const count = 1000
	e := newEngine(b, Config{})
	m := load(b, e, probe(b))
	l, err := m.acquire(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer m.release(l)
	var most int64
	for b.Loop() {
		before := resident(b)
		all := make([]*instance, count)
		for i := range all {
			in, err := l.instantiate()
			if err != nil {
				b.Fatal(err)
			}
			c := call("echo")
			if err := m.Description().Prepare(&c); err != nil {
				b.Fatal(err)
			}
			if _, clean, err := in.serve(context.Background(), &c); !clean || err != nil || !in.reset() {
				b.Fatal("the instance is not fit for another call", err)
			}
			all[i] = in
		}
		runtime.GC()
		most = max(most, resident(b)-before) // later rounds reuse the heap of the first
		for _, in := range all {
			in.close()
		}
	}
	b.ReportMetric(float64(most)/count/1024, "KiB/instance")
}

// resident is this process's resident memory in bytes.
func resident(b *testing.B) int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Skip("no /proc")
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(raw), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// BenchmarkColdStart is the first call of the compute module, of 2 MB, whose
// compiled code is on disk.
func BenchmarkColdStart(b *testing.B) {
	wasm, err := modules.Load("compute")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	hash := module.HashOf(wasm)
	start := func() {
		e, err := New(Config{CacheDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		m, err := e.Load(context.Background(), hash, wasm)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.Call(context.Background(), module.Call{Unit: "hash", Method: "blake3", Input: []byte("x")}); err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
	start()
	for b.Loop() {
		start()
	}
}
