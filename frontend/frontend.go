// Package frontend carries the web page, built from the sources in this folder
// by scripts/frontend.sh, and the kernel that it starts in a tab, built by
// scripts/kernel-js.sh.
//
// Invariants:
//   - Every file of dist and kernel is compressed with Brotli and named NAME.br.
//   - dist/SOURCES.sum and kernel/SOURCES.sum name the sources that the files were
//     built from; both scripts fail with --check when they have moved on.
//   - A file below dist/assets, and each of kernel, has a hash of its content in its
//     name.
package frontend

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

//go:embed all:kernel
var kernel embed.FS

// Dist holds the page's files.
func Dist() fs.FS { return below(dist, "dist") }

// Kernel holds kernel-HASH.wasm and wasm_exec-HASH.js.
func Kernel() fs.FS { return below(kernel, "kernel") }

func below(f fs.FS, dir string) fs.FS {
	sub, err := fs.Sub(f, dir)
	if err != nil {
		panic("frontend: the embedded folder is missing: " + err.Error()) // a defect the build would find
	}
	return sub
}
