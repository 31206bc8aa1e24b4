package bench

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"inos/host/wasm"
	"inos/host/wasmtime"
	"inos/kernel/api"
	"inos/kernel/module"
	"inos/modules"
	"inos/node"
)

// engines compares Wasmtime with wazero where the binary has both: the methods of
// compute through the whole engine, in turns, the best of each, for noise only
// ever adds. They must agree on gas and bytes.
func (s *suite) engines(ctx context.Context) error {
	if !wasmtime.Available {
		return nil
	}
	raw, err := modules.Load("compute")
	if err != nil {
		return err
	}
	names := node.Engines()
	loaded := make([]module.Module, len(names))
	for i, name := range names {
		e, err := node.NewEngine(name, wasm.Config{CacheDir: filepath.Join(s.dir, "engines")})
		if err != nil {
			return err
		}
		defer e.Close()
		if loaded[i], err = e.Load(ctx, module.HashOf(raw), raw); err != nil {
			return err
		}
	}
	product, n := 1.0, 0
	for _, w := range computeWork() {
		best, err := s.bestOf(ctx, loaded, w)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.opt.Log, "  %s.%s: %s %.2f ms, %s %.2f ms\n", w.unit, w.method, names[0], best[0]*1000, names[1], best[1]*1000)
		product *= best[0] / best[1]
		n++
	}
	s.add(Row{Name: "compute's methods on wasmtime, wazero is 1", Unit: "times", Target: 2}, []float64{math.Pow(product, 1/float64(n))})
	return nil
}

// bestOf times one piece of work on each engine, in seconds.
func (s *suite) bestOf(ctx context.Context, engines []module.Module, w work) ([]float64, error) {
	best := make([]float64, len(engines))
	var first module.Result
	for round := range 5 * s.reps {
		for i, m := range engines {
			t := time.Now()
			res, err := m.Call(ctx, module.Call{Unit: w.unit, Method: w.method, Params: []byte(w.params), Input: w.input})
			took := time.Since(t).Seconds()
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", w.unit, w.method, err)
			}
			if round == 0 && i == 0 {
				first = res
			}
			if res.Gas != first.Gas || string(res.Output) != string(first.Output) {
				return nil, api.Errorf("bench.engines", api.Corrupt, "the engines disagree on "+w.unit+"."+w.method)
			}
			if best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	return best, nil
}
