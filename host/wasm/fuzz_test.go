package wasm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	wazeroapi "github.com/tetratelabs/wazero/api"

	"inos/kernel/module/bin"
	"inos/kernel/module/meter"
)

// fuzzGas bounds each call of a fuzzed module.
const fuzzGas = 200_000

var errFuzzGas = errors.New("out of gas")

// FuzzInstrument feeds modules to the meter. It must not panic; what it accepts
// must be valid exactly when the original is; and calls must give the same.
func FuzzInstrument(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.wasm")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(bin.AppendSection([]byte(bin.Header), bin.Custom, bin.AppendName(nil, "")))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if len(wasm) > 64<<10 {
			return
		}
		out, info, err := meter.Instrument(wasm)
		if err != nil {
			return
		}
		if info.TableMin > 10_000 || len(info.Imports) > 0 || info.HasStart { // the plain module's start could loop
			return
		}
		plain, errA := fuzzInstance(t, withoutCustom(t, wasm))
		metered, errB := fuzzInstance(t, out)
		if errors.Is(errA, errFuzzGas) || errors.Is(errB, errFuzzGas) {
			return
		}
		if (errA == nil) != (errB == nil) {
			t.Fatalf("plain %v, metered %v", errA, errB)
		}
		if errA != nil {
			return
		}
		for name, def := range plain.ExportedFunctionDefinitions() {
			compareCalls(t, name, len(def.ParamTypes()), plain, metered)
		}
	})
}

// withoutCustom drops the custom sections, which cannot change what a module
// does. The meter drops them too, and wazero refuses an empty one at the end of
// a module, which the specification allows.
func withoutCustom(t *testing.T, wasm []byte) []byte {
	sections, err := bin.Sections(wasm)
	if err != nil {
		t.Fatalf("the meter took what does not split into sections: %v", err)
	}
	out := []byte(bin.Header)
	for _, s := range sections {
		if s.ID != bin.Custom {
			out = bin.AppendSection(out, s.ID, s.Body)
		}
	}
	return out
}

func fuzzInstance(t *testing.T, wasm []byte) (wazeroapi.Module, error) {
	ctx := context.Background()
	cfg := wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(wazeroapi.CoreFeaturesV2).WithMemoryLimitPages(64)
	r := wazero.NewRuntimeWithConfig(ctx, cfg)
	t.Cleanup(func() { _ = r.Close(ctx) })
	spent := 0
	_, err := r.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoFunction(wazeroapi.GoFunc(func(_ context.Context, s []uint64) {
			if spent += meter.Slice; spent > fuzzGas || uint32(s[1]) != meter.ReasonSlice {
				panic(errFuzzGas)
			}
			s[0] = meter.Slice
		}), []wazeroapi.ValueType{i64, i32}, []wazeroapi.ValueType{i64}).Export(meter.ImportSlice).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName("").WithStartFunctions())
}

// compareCalls calls the metered function first: when that ends within its gas,
// the plain one ends too.
func compareCalls(t *testing.T, name string, params int, plain, metered wazeroapi.Module) {
	args := make([]uint64, 2*params) // room for vectors
	for i := range args {
		args[i] = uint64(i) + 1
	}
	call := func(m wazeroapi.Module) (stack []uint64, err error) {
		f := m.ExportedFunction(name)
		stack = make([]uint64, max(len(args), 2*len(f.Definition().ResultTypes()), 1))
		copy(stack, args)
		err = f.CallWithStack(context.Background(), stack)
		return stack[:min(len(stack), len(f.Definition().ResultTypes()))], err
	}
	resB, errB := call(metered)
	if errors.Is(errB, errFuzzGas) {
		t.Skip("runs too long to compare")
	}
	resA, errA := call(plain)
	if (errA == nil) != (errB == nil) || errA != nil && firstLine(errA) != firstLine(errB) {
		t.Fatalf("%s: plain %v, metered %v", name, errA, errB)
	}
	if errA != nil {
		t.Skip("a trap leaves the metered module in another state")
	}
	for i := range resA {
		if resA[i] != resB[i] && !(isNaN(resA[i]) && canonicalNaN(resB[i])) {
			t.Fatalf("%s: plain %x, metered %x", name, resA, resB)
		}
	}
}

// canonicalNaN reports whether the word, or its low half, is the NaN that the meter
// makes of computed ones. Which vectors are floats is not known here.
func canonicalNaN(v uint64) bool {
	return v == 0x7ff8000000000000 || uint32(v) == 0x7fc00000 || uint32(v>>32) == 0x7fc00000
}
