package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const program = `package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

type tree struct{ left, right *tree }

//go:noinline
func grow(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{grow(depth - 1), grow(depth - 1)}
}

func (t *tree) size() int {
	if t == nil {
		return 0
	}
	return 1 + t.left.size() + t.right.size()
}

func main() {
	kept := grow(12)
	for range 20 { // the collector walks the stack by the tables that stay
		grow(12)
		runtime.GC()
	}
	defer func() {
		pc, file, line, _ := runtime.Caller(0)
		name := runtime.FuncForPC(pc).Name()
		fmt.Println(kept.size(), recover(), strings.HasPrefix(name, "main."), file, line)
		os.Exit(3)
	}()
	var none *tree
	_ = *none.left
}
`

// A stripped program collects garbage, panics and recovers as before, and still
// knows its functions' names; of files and lines it knows nothing.
func TestAStrippedProgramRuns(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	dir := t.TempDir()
	src, full := filepath.Join(dir, "main.go"), filepath.Join(dir, "full.wasm")
	if err := os.WriteFile(src, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", full, src)
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	var lean bytes.Buffer
	if err := run(bytes.NewReader(b), &lean); err != nil {
		t.Fatal(err)
	}
	if lean.Len() != len(b) || bytes.Equal(lean.Bytes(), b) {
		t.Fatal("nothing was cleared in place")
	}
	stripped := filepath.Join(dir, "lean.wasm")
	if err := os.WriteFile(stripped, lean.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, filepath.Join(strings.TrimSpace(string(root)), "lib/wasm/wasm_exec_node.js"), stripped)
	out, err := cmd.CombinedOutput()
	const want = "8191 runtime error: invalid memory address or nil pointer dereference true ? 0"
	if got := strings.TrimSpace(string(out)); got != want || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("it says %q and ends with %v, want %q and 3", got, err, want)
	}
}

func TestWhatIsNoProgramIsRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty": nil, "text": []byte("hello, world"), "a module without data": []byte("\x00asm\x01\x00\x00\x00"),
		"a section that is cut off": []byte("\x00asm\x01\x00\x00\x00\x0b\x7f\x01"),
		"data without a table":      []byte("\x00asm\x01\x00\x00\x00\x0b\x09\x01\x00\x41\x10\x0b\x03abc"),
	} {
		if err := run(bytes.NewReader(b), &bytes.Buffer{}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
