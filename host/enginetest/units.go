package enginetest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/modules"
)

// unitsFile says what each call below gives and costs.
const unitsFile = "units.json"

// unitCall is one call of a real module.
type unitCall struct {
	module, unit, method, params, input string
}

// unitCalls are calls of every deterministic method of the modules that come with
// a node and of the examples: in Rust with SIMD, Go and C.
var unitCalls = []unitCall{
	{"compute", "hash", "blake3", `{}`, "noise"},
	{"compute", "hash", "blake3", `{"form":"raw"}`, "text"},
	{"compute", "hash", "sha256", `{"form":"text"}`, "noise"},
	{"compute", "image", "info", `{}`, "photo.jpg"},
	{"compute", "image", "info", `{}`, "text"}, // fails, alike everywhere
	{"compute", "image", "convert", `{"format":"png"}`, "lossy.webp"},
	{"compute", "image", "convert", `{"format":"webp"}`, "glow.png"},
	{"compute", "image", "convert", `{"format":"jpeg","quality":60}`, "picture"},
	{"compute", "image", "resize", `{"width":300}`, "photo.jpg"},
	{"compute", "image", "resize", `{"width":100,"height":50,"fit":"cover","filter":"catmull-rom","format":"png"}`, "picture"},
	{"compute", "image", "thumbnail", `{"width":64}`, "photo.jpg"},
	{"compute", "image", "thumbnail", `{"width":128}`, "picture"},
	{"compute", "image", "grayscale", `{}`, "photo.jpg"},
	{"compute", "image", "blur", `{"sigma":3.5,"format":"png"}`, "photo.jpg"},
	{"compute", "image", "blur", `{}`, "picture"},
	{"diagnostics", "echo", "noop", `{}`, ""},
	{"diagnostics", "echo", "echo", `{}`, "noise"},
	{"diagnostics", "echo", "log", `{"lines":3}`, ""},
	{"diagnostics", "window", "sum", `{}`, "large"}, // in the window that the guest names
	{"diagnostics", "window", "sum", `{}`, "text"},
	{"diagnostics", "window", "invert", `{}`, "large"},
	{"wordcount", "text", "count", `{}`, "text"},
	{"mandelbrot", "fractal", "tile", `{}`, ""},
	{"mandelbrot", "fractal", "tile", `{"zoom":12,"x":1000,"y":1500,"size":64}`, ""},
	{"csv-clean", "table", "clean", `{}`, "csv"},
	{"csv-clean", "table", "report", `{}`, "csv"},
	{"csv-clean", "table", "clean", `{}`, "text"}, // fails
	{"levenshtein", "lines", "distances", `{}`, "lines"},
	{"levenshtein", "lines", "distances", `{}`, "text"},
}

// Units makes the same calls of real modules on every engine: the same bytes,
// words and gas come of them as natively.
func Units(t *testing.T, mk Make) {
	e := mk(t, Config{})
	got := map[string]outcome{}
	loaded := map[string]module.Module{}
	for _, c := range unitCalls {
		m := loaded[c.module]
		if m == nil {
			m = Load(t, e, unpack(t, c.module))
			loaded[c.module] = m
		}
		name := c.module + "/" + c.unit + "." + c.method + " " + c.params + " of " + c.input
		for range 2 { // the second in an instance that was used
			o := callUnit(m, c, inputNamed(t, c.input))
			if was, ok := got[name]; ok && was != o {
				t.Errorf("%s: %+v, then %+v", name, was, o)
			}
			got[name] = o
		}
	}
	covered(t, loaded)
	compare(t, unitsFile, got)
}

func callUnit(m module.Module, c unitCall, input []byte) (o outcome) {
	res, err := m.Call(context.Background(), module.Call{
		Unit: c.unit, Method: c.method, Params: json.RawMessage(c.params), Input: input, SubmittedMS: 1_700_000_000_000, Seed: [32]byte{7},
	})
	o.Gas = res.Gas
	if err != nil {
		o.Error = err.Error()
		return o
	}
	sum := blake3.Sum256(res.Output)
	o.Output = hex.EncodeToString(sum[:8])
	return o
}

// unpack returns a module that is built in, or an example.
func unpack(t testing.TB, name string) []byte {
	t.Helper()
	b, err := modules.Load(name)
	if api.KindOf(err) == api.NotFound {
		b, err = os.ReadFile("../../examples/dist/" + name + ".wasm.br")
		if err == nil {
			b, err = io.ReadAll(brotli.NewReader(bytes.NewReader(b)))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inputNamed makes an input, or reads a picture of modules/compute.
func inputNamed(t testing.TB, name string) []byte {
	t.Helper()
	switch name {
	case "":
		return nil
	case "noise":
		return noise(1_000_003)
	case "large":
		return noise(module.WindowInput + 70_001)
	case "text":
		return bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog, and the dog sleeps\n"), 500)
	case "csv":
		return bytes.Repeat([]byte("name, age ,town\n ada,36, London \n\"grace\"\"s\",85,\n,,\n"), 200)
	case "lines":
		return []byte("kitten\nsitting\n")
	case "picture":
		return picture(t)
	}
	b, err := os.ReadFile(filepath.Join("../../modules/compute/tests/fixtures", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = blake3.New().Digest().Read(b)
	return b
}

// picture is a PNG of 400 by 300 with edges and gradients.
func picture(t testing.TB) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 400, 300))
	for y := range 300 {
		for x := range 400 {
			img.SetRGBA(x, y, color.RGBA{R: uint8(x), G: uint8(y), B: uint8(x * y >> 4), A: uint8(255 - (x^y)&31)})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// covered fails for a deterministic method that no call covers.
func covered(t *testing.T, loaded map[string]module.Module) {
	t.Helper()
	has := map[string]bool{}
	for _, c := range unitCalls {
		has[c.module+"/"+c.unit+"."+c.method] = true
	}
	var missing []string
	for name, m := range loaded {
		d := m.Description().Manifest
		for _, u := range d.Units {
			for _, f := range u.Methods {
				if full := name + "/" + u.Name + "." + f.Name; d.Deterministic && !has[full] && !callsOut[full] {
					missing = append(missing, full)
				}
			}
		}
	}
	sort.Strings(missing)
	if len(missing) > 0 {
		t.Errorf("no call covers %v", missing)
	}
}

// callsOut are the deterministic methods that need a kernel's system calls.
var callsOut = map[string]bool{"diagnostics/chunk.fetch": true, "diagnostics/chunk.store": true, "diagnostics/window.load": true}
