// Command layoutgen turns the arena's layout, the constant `layout` of
// protocols/schemas/system/v1/layout.capnp, into offsets for Go, Rust and
// TypeScript and into the tables of docs/arena.md.
//
// It reads the constant through the generated Go schema code, so it needs no
// Cap'n Proto compiler; scripts/generate.sh refreshes that code first. It writes
// nothing when the layout breaks a rule. Run it from the repository's root:
//
//	layoutgen         write what changed
//	layoutgen -check  write nothing; fail when a file is stale
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// outputs are the files written, by the function that renders each.
var outputs = []struct {
	path   string
	render func(arena, []byte) ([]byte, error)
}{
	{"kernel/layout/layout_gen.go", renderGo},
	{"protocols/gen/layout/rust/layout.rs", renderRust},
	{"protocols/gen/layout/ts/layout.ts", renderTS},
	{"sdk/c/inos_arena.h", renderC},
	{"examples/python/inos_layout.py", renderPython},
	{"docs/arena.md", renderDocs},
}

func main() {
	check := flag.Bool("check", false, "write nothing; exit 1 when a generated file is stale")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "layoutgen:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	a, err := readSchema()
	if err != nil {
		return err
	}
	if err := a.validate(); err != nil {
		return err
	}
	for _, o := range outputs {
		if err := refresh(o.path, check, func(old []byte) ([]byte, error) { return o.render(a, old) }); err != nil {
			return fmt.Errorf("%s: %w", o.path, err)
		}
	}
	return nil
}

// refresh rewrites path when render yields other bytes than it holds, or fails
// if it may not write.
func refresh(path string, check bool, render func(old []byte) ([]byte, error)) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	want, err := render(old)
	if err != nil {
		return err
	}
	if bytes.Equal(old, want) {
		return nil
	}
	if check {
		return fmt.Errorf("stale: run make generate and commit the result")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, want, 0o644)
}
