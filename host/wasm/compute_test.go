package wasm

import (
	"bytes"
	"context"
	goimage "image"
	"image/color"
	"image/png"
	"io"
	"os"
	"testing"

	"github.com/andybalholm/brotli"
	wazeroapi "github.com/tetratelabs/wazero/api"

	"inos/kernel/module"
	"inos/kernel/module/meter"
	"inos/kernel/wire"
)

// BenchmarkComputeOverhead runs methods of the real compute module as it was
// built and metered, without the engine around it.
func BenchmarkComputeOverhead(b *testing.B) {
	wasm := computeModule(b)
	metered, info, err := meter.Instrument(wasm)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d bytes, metered %d; sticky %v, globals %v", len(wasm), len(metered), info.Sticky, info.Globals)
	picture := benchPicture()
	kinds := []string{"plain", "metered"}
	instances := []func() wazeroapi.Module{benchModule(b, wasm), benchModule(b, metered)}
	for _, c := range []struct {
		unit, method, params string
		input                []byte
	}{
		{"hash", "blake3", "{}", make([]byte, 1<<20)},
		{"hash", "sha256", "{}", make([]byte, 1<<20)},
		{"image", "thumbnail", `{"width":128}`, picture},
		{"image", "blur", `{"sigma":2}`, picture},
	} {
		for i, kind := range kinds {
			b.Run(c.method+"/"+kind, func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					m := instances[i]() // fresh memory: the guest never frees
					q := wire.ModuleRequest{Unit: c.unit, Method: c.method, Params: []byte(c.params), OutputLimit: 1 << 24}
					q.Input = benchHand(b, m, c.input)
					raw, err := wire.EncodeModuleRequest(q)
					if err != nil {
						b.Fatal(err)
					}
					at := benchHand(b, m, raw)
					call := m.ExportedFunction("inos_call")
					b.StartTimer()
					if _, err := call.Call(context.Background(), uint64(at.Pointer), uint64(at.Length)); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					_ = m.Close(context.Background())
					b.StartTimer()
				}
			})
		}
	}
}

func computeModule(t testing.TB) []byte {
	t.Helper()
	f, err := os.ReadFile("../../modules/dist/compute.wasm.br")
	if err != nil {
		t.Skip(err)
	}
	wasm, err := io.ReadAll(brotli.NewReader(bytes.NewReader(f)))
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

// The real module answers with the same bytes metered and as it was built, and
// also through the engine, call after call.
func TestComputeIsUnchanged(t *testing.T) {
	wasm := computeModule(t)
	plain := benchModule(t, wasm)
	m := load(t, newEngine(t, Config{}), wasm)
	for _, c := range []struct{ unit, method, params string }{
		{"hash", "blake3", "{}"},
		{"hash", "sha256", "{}"},
		{"image", "thumbnail", `{"width":100}`},
		{"image", "grayscale", "{}"},
		{"image", "blur", `{"sigma":2}`},
	} {
		// The description fills in defaults, as the engine does.
		q := module.Call{Unit: c.unit, Method: c.method, Params: []byte(c.params), Input: benchPicture()}
		prepared := q
		if err := m.Description().Prepare(&prepared); err != nil {
			t.Fatal(err)
		}
		want := benchCall(t, plain(), prepared)
		var gas uint64
		for range 2 {
			res, err := m.Call(context.Background(), q)
			if err != nil || !bytes.Equal(res.Output, want) || gas != 0 && gas != res.Gas {
				t.Errorf("%s.%s: %d bytes, want %d; gas %d, before %d; %v", c.unit, c.method, len(res.Output), len(want), res.Gas, gas, err)
			}
			gas = res.Gas
		}
	}
}

// benchCall makes one call by hand and returns the output.
func benchCall(t testing.TB, m wazeroapi.Module, c module.Call) []byte {
	t.Helper()
	raw, err := wire.EncodeModuleRequest(wire.ModuleRequest{
		Unit: c.Unit, Method: c.Method, Params: c.Params, Input: benchHand(t, m, c.Input), OutputLimit: c.Limits.OutputBytes,
	})
	if err != nil {
		t.Fatal(err)
	}
	at := benchHand(t, m, raw)
	res, err := m.ExportedFunction("inos_call").Call(context.Background(), uint64(at.Pointer), uint64(at.Length))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := m.Memory().Read(uint32(res[0]>>32), uint32(res[0]))
	p, err := wire.DecodeModuleResponse(b)
	if err != nil || p.Kind != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	out, _ := m.Memory().Read(p.Output.Pointer, p.Output.Length)
	return bytes.Clone(out)
}

func benchHand(b testing.TB, m wazeroapi.Module, data []byte) wire.Span {
	res, err := m.ExportedFunction("inos_alloc").Call(context.Background(), uint64(len(data)))
	if err != nil {
		b.Fatal(err)
	}
	m.Memory().Write(uint32(res[0]), data)
	return wire.Span{Pointer: uint32(res[0]), Length: uint32(len(data))}
}

func benchPicture() []byte {
	img := goimage.NewRGBA(goimage.Rect(0, 0, 512, 512))
	for y := range 512 {
		for x := range 512 {
			img.Set(x, y, color.RGBA{uint8(x * y), uint8(x ^ y), uint8(x + y), 255})
		}
	}
	var b bytes.Buffer
	_ = png.Encode(&b, img)
	return b.Bytes()
}
