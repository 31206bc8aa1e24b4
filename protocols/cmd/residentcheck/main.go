// Command residentcheck proves that resident modules can share one arena: each is
// linked to a place of its own and stays in it. It takes the files' names,
// with or without .wasm, and fails naming the first two that overlap.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"inos/kernel/module"
)

func main() {
	if err := check(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "residentcheck:", err)
		os.Exit(1)
	}
}

func check(names []string) error {
	files := make(map[string][]byte, len(names))
	for _, name := range names {
		name = strings.TrimSuffix(name, ".wasm")
		b, err := os.ReadFile(name + ".wasm")
		if err != nil {
			return err
		}
		files[filepath.Base(name)] = b
	}
	return module.CheckResidents(files)
}
