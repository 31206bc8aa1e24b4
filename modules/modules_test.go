package modules_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"inos/host/wasm"
	"inos/kernel/api"
	"inos/kernel/module"
	"inos/modules"
)

// sources computes what scripts/modules.sh does: one hash over everything that
// reaches a module's bytes.
func sources(t *testing.T) string {
	t.Helper()
	files := []string{"scripts/modules.sh"}
	for _, folder := range []string{"modules", "protocols/schemas/module", "protocols/schemas/syscall", "protocols/gen/rust/src/module", "protocols/gen/rust/src/syscall", "protocols/gen/layout/rust"} {
		err := filepath.WalkDir("../"+folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				if d.Name() == "target" || d.Name() == "tests" {
					return fs.SkipDir
				}
				return nil
			}
			ext := filepath.Ext(path)
			if folder != "modules" || ext == ".rs" || ext == ".toml" || d.Name() == "Cargo.lock" {
				files = append(files, strings.TrimPrefix(path, "../"))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(files)
	list := sha256.New()
	for _, name := range files {
		b, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(list, "%x  %s\n", sha256.Sum256(b), name)
	}
	return hex.EncodeToString(list.Sum(nil))
}

func TestDistIsFresh(t *testing.T) {
	sum, err := os.ReadFile("dist/SOURCES.sum")
	if err != nil {
		t.Fatal(err)
	}
	if got := "sources " + sources(t) + "\n"; !strings.HasPrefix(string(sum), got) {
		t.Fatalf("modules/dist is stale: run scripts/modules.sh and commit the result\nsources now: %sdist/SOURCES.sum:\n%s", got, sum)
	}
	for _, m := range modules.Builtin() {
		b, err := modules.Load(m.Name)
		if err != nil {
			t.Fatal(err)
		}
		if line := fmt.Sprintf("module %s %x %d\n", m.Name, sha256.Sum256(b), len(b)); !strings.Contains(string(sum), line) {
			t.Errorf("dist/SOURCES.sum does not list %q: run scripts/modules.sh --force", line)
		}
	}
}

func TestEachIsAModule(t *testing.T) {
	var names []string
	for _, m := range modules.Builtin() {
		names = append(names, m.Name)
		b, err := modules.Load(m.Name)
		if err != nil {
			t.Fatal(err)
		}
		d, err := module.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if d.Manifest.Name != m.Name || d.Manifest.Deterministic != (m.Name != "syscalls") || d.Manifest.Resident != (m.Name == "boids") {
			t.Errorf("%s: manifest %+v", m.Name, d.Manifest)
		}
		if len(b) > 2<<20 {
			t.Errorf("%s has %d bytes; keep modules under 2 MiB", m.Name, len(b))
		}
		for _, u := range d.Manifest.Units {
			for _, f := range u.Methods {
				if f.Doc == "" {
					t.Errorf("%s/%s.%s has no documentation", m.Name, u.Name, f.Name)
				}
			}
		}
	}
	if !slices.Equal(names, []string{"boids", "compute", "diagnostics", "syscalls"}) {
		t.Errorf("built in: %v", names)
	}
	if _, err := modules.Load("../compute"); !errors.Is(err, api.NotFound) {
		t.Errorf("an unknown name gave %v", err)
	}
}

// loaded is the named module, ready to be called.
func loaded(t testing.TB, name string) module.Module {
	t.Helper()
	b, err := modules.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	e, err := wasm.New(wasm.Config{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	m, err := e.Load(context.Background(), module.HashOf(b), b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGoldenOutputs pins what comes out, to the byte, and that gas is the same
// each time. The first table is the one that the native build is pinned to.
func TestGoldenOutputs(t *testing.T) {
	m := loaded(t, "compute")
	for _, table := range []string{"golden.txt", "golden-wasm.txt"} {
		t.Run(table, func(t *testing.T) { golden(t, m, "compute/tests/"+table) })
	}
}

// golden runs the lines "unit.method params fixture digest" of a table. With
// GOLDEN=write it writes the digests of the table for WebAssembly alone.
func golden(t *testing.T, m module.Module, path string) {
	table, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var now strings.Builder
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "#") {
			now.WriteString(line)
			continue
		}
		col := strings.Fields(line)
		fmt.Fprintf(&now, "%s %s %s %s\n", col[0], col[1], col[2], digest(t, m, col[0], col[1], col[2]))
	}
	if os.Getenv("GOLDEN") == "write" && strings.HasSuffix(path, "-wasm.txt") {
		if err := os.WriteFile(path, []byte(now.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if now.String() != string(table) {
		t.Errorf("outputs differ from %s; now:\n%s", path, now.String())
	}
}

func digest(t *testing.T, m module.Module, method, params, fixture string) string {
	t.Helper()
	input, err := os.ReadFile("compute/tests/fixtures/" + fixture)
	if err != nil {
		t.Fatal(err)
	}
	unit, name, _ := strings.Cut(method, ".")
	c := module.Call{Unit: unit, Method: name, Params: json.RawMessage(params), Input: input}
	res, err := m.Call(context.Background(), c)
	if err != nil {
		t.Fatalf("%s %s %s: %v", method, params, fixture, err)
	}
	again, err := m.Call(context.Background(), c)
	if err != nil || again.Gas != res.Gas || res.Gas == 0 || !bytes.Equal(again.Output, res.Output) {
		t.Errorf("%s %s %s: gas %d, then %d (%v)", method, params, fixture, res.Gas, again.Gas, err)
	}
	return fmt.Sprintf("%x", blake3.Sum256(res.Output))
}

func TestFailuresKeepTheirKind(t *testing.T) {
	m := loaded(t, "compute")
	photo, err := os.ReadFile("compute/tests/fixtures/photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, params string
		input          []byte
		kind           api.Kind
	}{
		{"thumbnail", `{}`, []byte("a PNG that is not one"), api.Invalid},
		{"thumbnail", `{}`, []byte("\x89PNG\r\n\x1a\nnor is this"), api.Invalid},
		{"thumbnail", `{"width":0}`, photo, api.Invalid},
		{"thumbnail", `{"widht":9}`, photo, api.Invalid},
		{"convert", `{}`, photo, api.Invalid},
		{"convert", `{"format":"gif"}`, photo, api.Invalid},
		{"resize", `{}`, photo, api.Invalid},
		{"resize", `{"width":16384,"height":16384,"fit":"stretch"}`, photo, api.Exhausted},
		{"info", `{}`, []byte("GIF89a\x01\x00\x01\x00"), api.Unsupported},
	} {
		_, err := m.Call(context.Background(), module.Call{Unit: "image", Method: c.method, Params: json.RawMessage(c.params), Input: c.input})
		if !errors.Is(err, c.kind) {
			t.Errorf("%s %s: %v, want %v", c.method, c.params, err, c.kind)
		}
	}
}

func TestEcho(t *testing.T) {
	m := loaded(t, "diagnostics")
	res, err := m.Call(context.Background(), module.Call{Unit: "echo", Method: "echo", Input: []byte("hello")})
	if err != nil || string(res.Output) != "hello" {
		t.Errorf("echo: %q, %v", res.Output, err)
	}
	if res, err = m.Call(context.Background(), module.Call{Unit: "echo", Method: "noop"}); err != nil || len(res.Output) != 0 {
		t.Errorf("noop: %q, %v", res.Output, err)
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := modules.Load("compute"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNoop(b *testing.B) {
	m := loaded(b, "diagnostics")
	for b.Loop() {
		if _, err := m.Call(context.Background(), module.Call{Unit: "echo", Method: "noop"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkImage runs each method over a picture: the one named by PICTURE, or
// the small photo of the tests.
func BenchmarkImage(b *testing.B) {
	path := os.Getenv("PICTURE")
	if path == "" {
		path = "compute/tests/fixtures/photo.jpg"
	}
	input, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	m := loaded(b, "compute")
	for _, c := range []struct{ method, params string }{
		{"info", `{}`},
		{"thumbnail", `{"width":256}`},
		{"resize", `{"width":1600}`},
		{"grayscale", `{}`},
		{"blur", `{"sigma":1}`},
		{"blur", `{"sigma":8}`},
		{"convert", `{"format":"jpeg"}`},
		{"convert", `{"format":"webp"}`},
		{"convert", `{"format":"png"}`},
	} {
		b.Run(c.method+c.params, func(b *testing.B) {
			var res module.Result
			start := time.Now()
			for b.Loop() {
				if res, err = m.Call(context.Background(), module.Call{Unit: "image", Method: c.method, Params: json.RawMessage(c.params), Input: input}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(res.Gas)/1e6, "Mgas")
			b.ReportMetric(float64(time.Since(start).Milliseconds())/float64(b.N), "ms/op")
			b.ReportMetric(float64(len(res.Output))/1024, "KiB")
		})
	}
}
