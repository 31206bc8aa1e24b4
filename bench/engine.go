package bench

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	wasmapi "github.com/tetratelabs/wazero/api"
	"github.com/zeebo/blake3"

	"inos/host/wasm"
	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/meter"
	"inos/kernel/wire"
	"inos/modules"
)

// engine measures the engine that runs guests, in this process: no socket, queue
// or ledger around it.
func (s *suite) engine(ctx context.Context) error {
	for _, fn := range []func(context.Context) error{s.kernelCall, s.coldStart, s.instances, s.gasOverhead, s.stopping, s.pauses} {
		if err := fn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// loaded is an embedded module in an engine of its own.
func loaded(ctx context.Context, cfg wasm.Config, name string) (module.Engine, module.Module, error) {
	raw, err := modules.Load(name)
	if err != nil {
		return nil, nil, err
	}
	e, err := wasm.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	m, err := e.Load(ctx, api.Hash(blake3.Sum256(raw)), raw)
	if err != nil {
		_ = e.Close()
		return nil, nil, err
	}
	return e, m, nil
}

// kernelCall is a warm call of a method that does nothing.
func (s *suite) kernelCall(ctx context.Context) error {
	e, m, err := loaded(ctx, wasm.Config{}, "diagnostics")
	if err != nil {
		return err
	}
	defer e.Close()
	calls := 20_000
	if s.opt.Quick {
		calls = 500
	}
	took := make([]float64, 0, calls)
	for i := range calls + 100 {
		t := time.Now()
		if _, err := m.Call(ctx, module.Call{Unit: "echo", Method: "noop"}); err != nil {
			return err
		}
		if i >= 100 {
			took = append(took, time.Since(t).Seconds()*1e6)
		}
	}
	s.add(Row{Name: "warm call inside the kernel, p50", Unit: "us", Target: 2, Less: true}, took)
	return nil
}

// coldStart is a first call in a process that finds compiled code on disk.
func (s *suite) coldStart(ctx context.Context) error {
	cfg := wasm.Config{CacheDir: filepath.Join(s.dir, "cold")}
	start := func() (float64, error) {
		t := time.Now()
		e, m, err := loaded(ctx, cfg, "compute")
		if err != nil {
			return 0, err
		}
		defer e.Close()
		_, err = m.Call(ctx, module.Call{Unit: "hash", Method: "blake3", Input: []byte("x")})
		return time.Since(t).Seconds() * 1000, err
	}
	if _, err := start(); err != nil { // compiles
		return err
	}
	took, err := s.repeat(func(int) (float64, error) { return start() })
	if err != nil {
		return err
	}
	s.add(Row{Name: "cold start of compute from compiled code", Unit: "ms", Target: 2, Less: true}, took)
	return nil
}

// work is one method of compute with an input of the usual kind.
type work struct {
	unit, method, params string
	input                []byte
}

func computeWork() []work {
	data, pic := random(7, 4<<20), picture(512)
	return []work{
		{"hash", "blake3", `{}`, data},
		{"hash", "sha256", `{}`, data},
		{"image", "thumbnail", `{"width":128}`, pic},
		{"image", "grayscale", `{}`, pic},
		{"image", "blur", `{"sigma":2}`, pic},
	}
}

func picture(side int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			img.Set(x, y, color.RGBA{uint8(x * y), uint8(x ^ y), uint8(x + y), 255})
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img)
	return b.Bytes()
}

// gasOverhead runs the methods of compute as they were built and metered, in
// turns, and takes the best of each: noise only ever adds.
func (s *suite) gasOverhead(ctx context.Context) error {
	raw, err := modules.Load("compute")
	if err != nil {
		return err
	}
	metered, _, err := meter.Instrument(raw)
	if err != nil {
		return err
	}
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(wasmapi.CoreFeaturesV2))
	defer r.Close(ctx)
	if err := bareImports(ctx, r); err != nil {
		return err
	}
	var code [2]wazero.CompiledModule
	for i, w := range [][]byte{raw, metered} {
		if code[i], err = r.CompileModule(ctx, w); err != nil {
			return err
		}
	}
	rounds := 10 * s.reps
	product, n := 1.0, 0
	for _, w := range computeWork() {
		best := [2]float64{math.Inf(1), math.Inf(1)}
		for range rounds {
			for i := range code {
				t, err := bareCall(ctx, r, code[i], w)
				if err != nil {
					return fmt.Errorf("%s.%s: %w", w.unit, w.method, err)
				}
				best[i] = min(best[i], t)
			}
		}
		fmt.Fprintf(s.opt.Log, "  %s.%s: %.2f ms, metered %.2f ms\n", w.unit, w.method, best[0]*1000, best[1]*1000)
		product *= best[1] / best[0]
		n++
	}
	over := (math.Pow(product, 1/float64(n)) - 1) * 100
	s.add(Row{Name: "gas overhead over compute's methods", Unit: "%", Target: 5, Less: true}, []float64{over})
	return nil
}

// bareImports gives a runtime what compute imports, and a meter that always
// grants the next slice.
func bareImports(ctx context.Context, r wazero.Runtime) error {
	i32, i64 := wasmapi.ValueTypeI32, wasmapi.ValueTypeI64
	_, err := r.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoFunction(wasmapi.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = meter.Slice }), []wasmapi.ValueType{i64, i32}, []wasmapi.ValueType{i64}).
		Export(meter.ImportSlice).Instantiate(ctx)
	if err != nil {
		return err
	}
	_, err = r.NewHostModuleBuilder("inos").NewFunctionBuilder().
		WithGoFunction(wasmapi.GoFunc(func(context.Context, []uint64) {}), []wasmapi.ValueType{i32, i32, i32}, nil).
		Export("log").Instantiate(ctx)
	return err
}

// bareCall makes an instance, hands it the input and times the call alone, in
// seconds.
func bareCall(ctx context.Context, r wazero.Runtime, code wazero.CompiledModule, w work) (float64, error) {
	m, err := r.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName(""))
	if err != nil {
		return 0, err
	}
	defer m.Close(ctx)
	hand := func(b []byte) (wire.Span, error) {
		res, err := m.ExportedFunction("inos_alloc").Call(ctx, uint64(len(b)))
		if err != nil {
			return wire.Span{}, err
		}
		m.Memory().Write(uint32(res[0]), b)
		return wire.Span{Pointer: uint32(res[0]), Length: uint32(len(b))}, nil
	}
	input, err := hand(w.input)
	if err != nil {
		return 0, err
	}
	q, err := wire.EncodeModuleRequest(wire.ModuleRequest{Unit: w.unit, Method: w.method, Params: []byte(w.params), Input: input, OutputLimit: 1 << 24})
	if err != nil {
		return 0, err
	}
	at, err := hand(q)
	if err != nil {
		return 0, err
	}
	call := m.ExportedFunction("inos_call")
	t := time.Now()
	res, err := call.Call(ctx, uint64(at.Pointer), uint64(at.Length))
	took := time.Since(t).Seconds()
	if err != nil {
		return 0, err
	}
	b, _ := m.Memory().Read(uint32(res[0]>>32), uint32(res[0]))
	p, err := wire.DecodeModuleResponse(b)
	if err == nil && p.Kind != "" {
		err = fmt.Errorf("%s: %s", p.Kind, p.Message)
	}
	return took, err
}

// busy is a call whose guest computes for longer than its deadline allows.
func busy(wall time.Duration) module.Call {
	return module.Call{
		Unit: "image", Method: "blur", Params: []byte(`{"sigma":20}`), Input: picture(1024),
		Limits: api.Limits{Gas: 1 << 50, WallMS: uint32(wall.Milliseconds())},
	}
}

// stopping is how long after its deadline a busy guest ends.
func (s *suite) stopping(ctx context.Context) error {
	e, m, err := loaded(ctx, wasm.Config{}, "compute")
	if err != nil {
		return err
	}
	defer e.Close()
	const wall = 50 * time.Millisecond
	call := busy(wall)
	var late []float64
	for range 8 * s.reps {
		t := time.Now()
		if _, err := m.Call(ctx, call); api.KindOf(err) != api.Timeout {
			return fmt.Errorf("the guest was not stopped: %w", err)
		}
		late = append(late, (time.Since(t)-wall).Seconds()*1000)
	}
	s.add(Row{Name: "busy guest stopped after its deadline", Unit: "ms", Target: 5, Less: true}, late)
	return nil
}

// pauses is the longest stop of the world while guests spin on every core.
func (s *suite) pauses(ctx context.Context) error {
	e, m, err := loaded(ctx, wasm.Config{}, "compute")
	if err != nil {
		return err
	}
	defer e.Close()
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for call := busy(time.Minute); ctx.Err() == nil; {
				_, _ = m.Call(ctx, call)
			}
		})
	}
	before := stopTimes()
	for range 20 * s.reps {
		runtime.GC()
	}
	after := stopTimes()
	stop()
	wg.Wait()
	s.add(Row{Name: "longest collector pause while guests spin", Unit: "ms", Target: 5, Less: true}, []float64{longest(before, after) * 1000})
	return nil
}

func stopTimes() *metrics.Float64Histogram {
	m := []metrics.Sample{{Name: "/sched/pauses/stopping/gc:seconds"}}
	metrics.Read(m)
	h := m[0].Value.Float64Histogram()
	return &metrics.Float64Histogram{Counts: append([]uint64(nil), h.Counts...), Buckets: h.Buckets}
}

// longest is the upper edge of the last bucket that grew, in seconds.
func longest(before, after *metrics.Float64Histogram) float64 {
	worst := 0.0
	for i := range after.Counts {
		if after.Counts[i] > before.Counts[i] {
			worst = after.Buckets[i+1]
		}
	}
	return worst
}
