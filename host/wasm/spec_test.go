package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	wazeroapi "github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"inos/kernel/module/meter"
)

// The official WebAssembly test suite, as wazero ships it in its module, run
// twice: each module as it is, and metered. Results and traps must be the same,
// and what the suite calls invalid must stay refused.

type specCommand struct {
	Type     string `json:"type"`
	Line     int    `json:"line"`
	Name     string `json:"name"`
	As       string `json:"as"`
	Filename string `json:"filename"`
	Format   string `json:"module_type"`
	Action   struct {
		Type   string      `json:"type"`
		Module string      `json:"module"`
		Field  string      `json:"field"`
		Args   []specValue `json:"args"`
	} `json:"action"`
	Expected []specValue `json:"expected"`
}

type specValue struct {
	Type  string          `json:"type"`
	Lane  string          `json:"lane_type"`
	Value json.RawMessage `json:"value"`
}

func specDir(t *testing.T) string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Skip("the go command does not find wazero's sources")
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("wazero's sources have no test suite here")
	}
	return dir
}

func TestSpecification(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	dir := specDir(t)
	host, err := os.ReadFile(filepath.Join(dir, "testdata", "spectest.wasm"))
	if err != nil {
		t.Skip(err)
	}
	for version, least := range map[string]specTally{
		"v1":      {modules: 500, actions: 10_000},
		"v2":      {modules: 500, actions: 10_000}, // with SIMD
		"threads": {modules: 2, actions: 100},      // what residents may use
	} {
		files, _ := filepath.Glob(filepath.Join(dir, version, "testdata", "*.json"))
		if len(files) == 0 {
			t.Skip("no test files")
		}
		features := wazeroapi.CoreFeaturesV2
		if version == "threads" {
			features = residentFeatures
		}
		var total specTally
		for _, f := range files {
			t.Run(version+"/"+strings.TrimSuffix(filepath.Base(f), ".json"), func(t *testing.T) {
				tally := runSpec(t, f, host, features)
				total.add(tally)
			})
		}
		t.Logf("%s: %d modules metered, %d refused by the meter alone, %d actions compared, %d invalid modules refused",
			version, total.modules, total.refused, total.actions, total.invalid)
		if total.modules < least.modules || total.actions < least.actions {
			t.Errorf("too little was tested")
		}
	}
}

type specTally struct{ modules, refused, actions, invalid int }

func (s *specTally) add(o specTally) {
	s.modules += o.modules
	s.refused += o.refused
	s.actions += o.actions
	s.invalid += o.invalid
}

// world is one of the two runs.
type world struct {
	r       wazero.Runtime
	metered bool
	named   map[string]wazeroapi.Module
	aliases map[string]wazeroapi.Module // registered: importable
	last    wazeroapi.Module
}

type meterPanic struct{ reason uint32 }

func (meterPanic) Error() string { return "the meter stopped the guest" }

func newWorld(t *testing.T, host []byte, metered bool, features wazeroapi.CoreFeatures) *world {
	ctx := context.Background()
	cfg := wazero.NewRuntimeConfig().WithCoreFeatures(features)
	w := &world{r: wazero.NewRuntimeWithConfig(ctx, cfg), metered: metered, named: map[string]wazeroapi.Module{}, aliases: map[string]wazeroapi.Module{}}
	t.Cleanup(func() { _ = w.r.Close(ctx) })
	_, err := w.r.NewHostModuleBuilder(meter.ImportModule).NewFunctionBuilder().
		WithGoFunction(wazeroapi.GoFunc(func(_ context.Context, s []uint64) {
			if reason := uint32(s[1]); reason != meter.ReasonSlice {
				panic(meterPanic{reason})
			}
			s[0] = meter.Slice
		}), []wazeroapi.ValueType{i64, i32}, []wazeroapi.ValueType{i64}).Export(meter.ImportSlice).Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.r.InstantiateWithConfig(ctx, host, wazero.NewModuleConfig().WithName("spectest")); err != nil {
		t.Fatal(err)
	}
	return w
}

var errMeter = errors.New("the meter refuses the module")

func (w *world) compile(wasm []byte) (wazero.CompiledModule, error) {
	if w.metered {
		out, _, err := meter.Instrument(wasm)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMeter, err)
		}
		wasm = out
	}
	return w.r.CompileModule(context.Background(), wasm)
}

func (w *world) instantiate(wasm []byte, name string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	c, err := w.compile(wasm)
	if err != nil {
		return err
	}
	ctx := experimental.WithImportResolver(context.Background(), func(name string) wazeroapi.Module { return w.aliases[name] })
	m, err := w.r.InstantiateModule(ctx, c, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err == nil {
		w.last = m
		w.named[name] = m
	}
	return err
}

// settled puts the stack depth back, which a trap leaves as it was.
func (w *world) settled() {
	for _, m := range append([]wazeroapi.Module{w.last}, slices.Collect(maps.Values(w.named))...) {
		if m == nil {
			continue
		}
		if g, ok := m.ExportedGlobal(meter.DepthExport).(wazeroapi.MutableGlobal); ok {
			g.Set(0)
		}
	}
}

func (w *world) invoke(c specCommand) ([]uint64, error) {
	w.settled()
	m := w.last
	if c.Action.Module != "" {
		m = w.named[c.Action.Module]
	}
	if m == nil {
		return nil, errors.New("no module")
	}
	if c.Action.Type == "get" {
		g := m.ExportedGlobal(c.Action.Field)
		if g == nil {
			return nil, errors.New("no global")
		}
		return []uint64{g.Get()}, nil
	}
	f := m.ExportedFunction(c.Action.Field)
	if f == nil {
		return nil, errors.New("no function")
	}
	return f.Call(context.Background(), specArgs(c.Action.Args)...)
}

func specArgs(args []specValue) []uint64 {
	var out []uint64
	for _, a := range args {
		if a.Type != "v128" {
			var s string
			_ = json.Unmarshal(a.Value, &s)
			if a.Type == "externref" && s != "null" {
				v, _ := strconv.ParseUint(s, 10, 64)
				out = append(out, v+1)
				continue
			}
			v, _ := strconv.ParseUint(s, 10, 64)
			out = append(out, v)
			continue
		}
		var lanes []string
		_ = json.Unmarshal(a.Value, &lanes)
		bits := 128 / len(lanes)
		var pair [2]uint64
		for i, l := range lanes {
			v, _ := strconv.ParseUint(l, 10, 64)
			pair[i*bits/64] |= v << (i * bits % 64)
		}
		out = append(out, pair[0], pair[1])
	}
	return out
}

func runSpec(t *testing.T, file string, host []byte, features wazeroapi.CoreFeatures) (tally specTally) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var script struct{ Commands []specCommand }
	if err := json.Unmarshal(b, &script); err != nil {
		t.Fatal(err)
	}
	plain, metered := newWorld(t, host, false, features), newWorld(t, host, true, features)
	for _, c := range script.Commands {
		var wasm []byte
		if c.Filename != "" {
			if wasm, err = os.ReadFile(filepath.Join(filepath.Dir(file), c.Filename)); err != nil {
				t.Fatal(err)
			}
		}
		switch c.Type {
		case "module":
			errA, errB := plain.instantiate(wasm, c.Name), metered.instantiate(wasm, c.Name)
			if errors.Is(errB, errMeter) && errA == nil {
				tally.refused++
				t.Logf("line %d: %v", c.Line, errB)
				return tally // what follows depends on it
			}
			tally.modules++
			if (errA == nil) != (errB == nil) {
				t.Fatalf("line %d: plain %v, metered %v", c.Line, errA, errB)
			}
		case "register":
			specRegister(t, plain, c)
			specRegister(t, metered, c)
		case "assert_return", "assert_trap", "action":
			tally.actions++
			resA, errA := plain.invoke(c)
			resB, errB := metered.invoke(c)
			compareSpec(t, c, resA, resB, errA, errB)
		case "assert_exhaustion":
			var stop meterPanic
			if _, err := metered.invoke(c); !errors.As(err, &stop) || stop.reason != meter.ReasonStack {
				t.Errorf("line %d: endless recursion ends with %v", c.Line, err)
			}
		case "assert_invalid", "assert_malformed":
			if c.Format == "text" {
				continue
			}
			tally.invalid++
			if _, err := metered.compile(wasm); err == nil {
				if _, err := plain.compile(wasm); err != nil {
					t.Errorf("line %d: an invalid module becomes valid: %v", c.Line, err)
				}
			}
		case "assert_uninstantiable", "assert_unlinkable":
			lastA, lastB := plain.last, metered.last
			errA, errB := plain.instantiate(wasm, ""), metered.instantiate(wasm, "")
			if (errA == nil) != (errB == nil) {
				t.Errorf("line %d: plain %v, metered %v", c.Line, errA, errB)
			}
			plain.last, metered.last = lastA, lastB
		}
	}
	return tally
}

func compareSpec(t *testing.T, c specCommand, a, b []uint64, errA, errB error) {
	t.Helper()
	var stop meterPanic
	if errors.As(errB, &stop) && stop.reason == meter.ReasonTable {
		return // growing a table without bound is stopped, not answered with -1
	}
	if (errA == nil) != (errB == nil) || errA != nil && firstLine(errA) != firstLine(errB) {
		t.Errorf("line %d: plain %v, metered %v", c.Line, errA, errB)
		return
	}
	if strings.HasSuffix(c.Action.Field, "ref") || c.Action.Field == "get" {
		return
	}
	a, b = slices.Clone(a), slices.Clone(b)
	settleNaNs(a, c.Expected, func(uint64, uint64, uint64) bool { return true })
	settleNaNs(b, c.Expected, func(v, canonical, sign uint64) bool {
		return v == canonical || strings.Contains(c.Action.Field, "neg") && v == canonical|sign
	})
	if !slices.Equal(a, b) {
		t.Errorf("line %d: %s gives %x, metered %x", c.Line, c.Action.Field, a, b)
	}
}

// settleNaNs writes zeros where the suite expects a computed NaN and there is one that
// may stand: any in the plain world, the canonical one in the metered, with its sign
// turned by neg.
func settleNaNs(results []uint64, expected []specValue, may func(v, canonical, sign uint64) bool) {
	at := 0
	for _, e := range expected {
		bits, lanes := 64, []string{""}
		switch {
		case e.Type == "v128":
			_ = json.Unmarshal(e.Value, &lanes)
			bits = 128 / len(lanes)
		case e.Type == "f32":
			bits = 32
			fallthrough
		default:
			_ = json.Unmarshal(e.Value, &lanes[0])
		}
		for i, l := range lanes {
			w, shift := at+i*bits/64, i*bits%64
			if w >= len(results) || !strings.HasPrefix(l, "nan:") {
				continue
			}
			mask := ^uint64(0) >> (64 - bits)
			v, canonical := results[w]>>shift&mask, uint64(0x7ff8000000000000)
			if bits == 32 {
				canonical = 0x7fc00000
			}
			if isNaN(v) && may(v, canonical, 1<<(bits-1)) {
				results[w] &^= mask << shift
			}
		}
		at += max(1, bits*len(lanes)/64)
	}
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}

func isNaN(v uint64) bool {
	return math.IsNaN(math.Float64frombits(v)) || math.IsNaN(float64(math.Float32frombits(uint32(v))))
}

// specRegister gives a module the name under which others import from it.
func specRegister(t *testing.T, w *world, c specCommand) {
	t.Helper()
	m := w.last
	if c.Name != "" {
		m = w.named[c.Name]
	}
	if m != nil {
		w.aliases[c.As] = m
	}
}
