package sdk

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"inos/kernel/api"
)

func TestNewRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		lang, name, dir string
		kind            api.Kind
	}{
		{"go", "Parrot", t.TempDir(), api.Invalid},
		{"go", "../x", t.TempDir(), api.Invalid},
		{"java", "parrot", t.TempDir(), api.Invalid},
		{"go", "parrot", full, api.Exists},
	} {
		if err := New(tt.lang, tt.name, tt.dir); api.KindOf(err) != tt.kind {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// A new project in Go passes its own test and builds, without a network.
func TestNewGoProjectBuilds(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles")
	}
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOWORK", "off")
	dir := filepath.Join(t.TempDir(), "parrot")
	if err := New("go", "parrot", dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var log bytes.Buffer
	d, wasm, err := (&Builder{Dir: dir, Out: &log}).Build(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if d.Manifest.Name != "parrot" || !d.Manifest.Deterministic || len(wasm) < 1<<20 {
		t.Errorf("%+v, %d bytes", d.Manifest, len(wasm))
	}
	if !strings.Contains(log.String(), "GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared") {
		t.Errorf("the command is not shown:\n%s", log.String())
	}
}

func TestBuildSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	b := &Builder{Dir: dir, Out: io.Discard}
	if _, _, err := b.Build(t.Context()); !errors.Is(err, api.Invalid) || !strings.Contains(err.Error(), "inos module new") {
		t.Errorf("an empty folder: %v", err)
	}
	t.Setenv("PATH", dir)
	for file, what := range map[string]string{"module.json": "clang", "main.go": "go.dev"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.Build(t.Context()); !errors.Is(err, api.Unsupported) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", file, err)
		}
		_ = os.Remove(filepath.Join(dir, file))
	}
}

func TestManifestJSON(t *testing.T) {
	for _, bad := range []string{"", "[]", `{"other":"x"}`, `{"name":1}`, `{"units":[{"methods":[{"param":{}}]}]}`} {
		if _, err := parseManifest([]byte(bad)); !errors.Is(err, api.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	m, err := parseManifest([]byte(`{"name":"m","version":"1.0.0","deterministic":true,"limits":{"gas":5},"units":[{"name":"u","methods":[{"name":"f","params":{ "type": "object" },"no_input":true}]}]}`))
	f := m.Units[0].Methods[0]
	if err != nil || m.ABI != 1 || m.Limits.Gas != 5 || f.ParamsSchema != `{"type":"object"}` || f.InputRequired {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzManifestJSON(f *testing.F) {
	f.Add([]byte(`{"name":"m","units":[{"methods":[{"params":{}}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseManifest(b); err != nil && api.KindOf(err) != api.Invalid {
			t.Errorf("%v", err)
		}
	})
}

// The crates that the binary carries are those that the workspace's lock names.
func TestVendoredCratesAreTheLockedOnes(t *testing.T) {
	lock, err := os.ReadFile("../modules/Cargo.lock")
	if err != nil {
		t.Fatal(err)
	}
	locked := map[string]bool{}
	for _, m := range regexp.MustCompile(`name = "([^"]+)"\nversion = "([^"]+)"`).FindAllSubmatch(lock, -1) {
		locked[string(m[1])+" "+string(m[2])] = true
	}
	version := regexp.MustCompile(`(?ms)^\[package\].*?^version = "([^"]+)"`)
	r := tar.NewReader(brotli.NewReader(bytes.NewReader(rustVendor)))
	crates := 0
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(h.Name, "/")
		if len(parts) != 3 || parts[2] != "Cargo.toml" {
			continue
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		crates++
		m := version.FindSubmatch(raw)
		if m == nil || !locked[parts[1]+" "+string(m[1])] {
			t.Errorf("the crate %s is not the locked one; run scripts/sdk-vendor.sh", parts[1])
		}
	}
	if crates < 10 {
		t.Errorf("%d crates", crates)
	}
}

// A new project in Rust holds every file that the SDK includes from elsewhere.
func TestNewRustProjectIsWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "parrot")
	if err := New("rust", "parrot", dir); err != nil {
		t.Fatal(err)
	}
	src := filepath.Join(dir, ".inos", "modules", "sdk", "src")
	lib, err := os.ReadFile(filepath.Join(src, "lib.rs"))
	if err != nil {
		t.Fatal(err)
	}
	includes := regexp.MustCompile(`#\[path = "([^"]+)"\]`).FindAllSubmatch(lib, -1)
	if len(includes) < 2 {
		t.Errorf("%d includes", len(includes))
	}
	for _, m := range includes {
		if !exists(filepath.Join(src, string(m[1]))) {
			t.Errorf("%s is not in the project; embed it in package protocols", m[1])
		}
	}
	for _, file := range []string{"Cargo.toml", ".cargo/config.toml", "src/lib.rs", "src/pack.rs", ".inos/vendor/serde/Cargo.toml"} {
		if !exists(filepath.Join(dir, file)) {
			t.Errorf("%s is missing", file)
		}
	}
}
