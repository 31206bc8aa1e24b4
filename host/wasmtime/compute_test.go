//go:build wasmtime && linux && cgo && (amd64 || arm64)

package wasmtime

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"runtime"
	"sync"
	"testing"

	"inos/host/enginetest"
	"inos/host/wasm"
	"inos/kernel/module"
	"inos/modules"
)

func wazero(t testing.TB, c wasm.Config) *wasm.Engine {
	t.Helper()
	e, err := wasm.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func compute(t testing.TB, e module.Engine) module.Module {
	t.Helper()
	raw, err := modules.Load("compute")
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Load(t, e, raw)
}

func calls(t testing.TB, side int) []module.Call {
	img := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			img.Set(x, y, color.RGBA{uint8(x * y), uint8(x ^ y), uint8(x + y), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat(b.Bytes(), 1+(1<<20)/b.Len())
	return []module.Call{
		{Unit: "hash", Method: "blake3", Input: data},
		{Unit: "hash", Method: "sha256", Input: data},
		{Unit: "image", Method: "thumbnail", Params: []byte(`{"width":128}`), Input: b.Bytes()},
		{Unit: "image", Method: "grayscale", Input: b.Bytes()},
		{Unit: "image", Method: "blur", Params: []byte(`{"sigma":2}`), Input: b.Bytes()},
	}
}

// The real module gives the same bytes for the same gas on both engines, call
// after call.
func TestComputeIsTheSame(t *testing.T) {
	a, b := compute(t, wazero(t, wasm.Config{})), compute(t, newEngine(t, wasm.Config{}))
	for _, c := range calls(t, 256) {
		want, err := a.Call(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := b.Call(context.Background(), c)
			if err != nil || !bytes.Equal(got.Output, want.Output) || got.Gas != want.Gas || got.MediaType != want.MediaType {
				t.Errorf("%s.%s: %d bytes for %d gas, on wazero %d for %d; %v", c.Unit, c.Method, len(got.Output), got.Gas, len(want.Output), want.Gas, err)
			}
		}
	}
}

// Guests that trap, grow and go deep, on many threads, while the collector runs
// all the time: nothing that C holds may move or go.
func TestUnderCollection(t *testing.T) {
	m := enginetest.Load(t, newEngine(t, wasm.Config{Workers: 4}), enginetest.Probe(t))
	stop, collected := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(collected)
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 20 {
				in := bytes.Repeat([]byte{byte(i)}, 100_000)
				c := enginetest.Call("echo")
				c.Input = in
				if res, err := m.Call(context.Background(), c); err != nil || !bytes.Equal(res.Output, in) {
					t.Errorf("%d bytes, %v", len(res.Output), err)
				}
				for _, f := range []string{"trap", "grow", "recu", "loob"} {
					if _, err := m.Call(context.Background(), enginetest.Call(f)); err == nil {
						t.Errorf("%s came back", f)
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	<-collected
}

func BenchmarkCompute(b *testing.B) {
	engines := map[string]module.Module{"wazero": compute(b, wazero(b, wasm.Config{})), "wasmtime": compute(b, newEngine(b, wasm.Config{}))}
	for _, c := range calls(b, 512) {
		for _, name := range []string{"wazero", "wasmtime"} {
			b.Run(c.Method+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if _, err := engines[name].Call(context.Background(), c); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkNoop(b *testing.B) {
	for _, e := range []module.Engine{wazero(b, wasm.Config{}), newEngine(b, wasm.Config{})} {
		m := enginetest.Load(b, e, enginetest.Probe(b))
		b.Run(e.(*wasm.Engine).Name(), func(b *testing.B) {
			for b.Loop() {
				if _, err := m.Call(context.Background(), enginetest.Call("echo")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
