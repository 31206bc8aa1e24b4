//go:build wasmtime && linux && cgo && (amd64 || arm64)

package wasmtime

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What wasmtime.h declares is what the library's own headers declare: machine.c
// compiles against either, and so do the sizes that wasmtime.h asserts.
func TestHeaders(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/bytecodealliance/wasmtime-go/v39").Output()
	if err != nil {
		t.Skip("the go command does not find the headers")
	}
	include := filepath.Join(strings.TrimSpace(string(out)), "build", "include")
	for _, args := range [][]string{{}, {"-DINOS_WASMTIME_HEADERS", "-I" + include}} {
		args = append(args, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "machine.c")
		if b, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
			t.Errorf("cc %v: %v\n%s", args, err, b)
		}
	}
}
