package sdk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"inos/kernel/api"
	"inos/kernel/module"
)

// Builder builds the project in Dir.
type Builder struct {
	Dir string
	Out io.Writer // receives each command line before it runs, and what compilers print
}

// Build compiles the project, checks the result as a node would, and returns it.
//
// Errors: Invalid when Dir holds no project or the module is refused,
// Unsupported when a toolchain is missing (the message says what to install),
// Other when a compiler fails.
func (b *Builder) Build(ctx context.Context) (*module.Description, []byte, error) {
	wasm, err := b.compile(ctx)
	if err != nil {
		return nil, nil, err
	}
	d, err := module.Parse(wasm)
	if err != nil {
		return nil, nil, err
	}
	return d, wasm, nil
}

func (b *Builder) compile(ctx context.Context) ([]byte, error) {
	work, err := os.MkdirTemp("", "inos-build-")
	if err != nil {
		return nil, api.E("sdk.build", api.Other, err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	switch {
	case b.has("Cargo.toml"):
		return b.rust(ctx, work)
	case b.has("module.json"):
		return b.c(ctx, work)
	case b.has("main.go"):
		return b.golang(ctx, work)
	}
	return nil, api.Errorf("sdk.build", api.Invalid, "there is no module project in "+b.Dir+": it has no Cargo.toml, main.go or module.json; inos module new makes one")
}

// golang builds with the standard toolchain and asks the program for its manifest.
func (b *Builder) golang(ctx context.Context, work string) ([]byte, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return nil, missing("Go 1.24 or newer: https://go.dev/dl")
	}
	out := filepath.Join(work, "module.wasm")
	if err := b.run(ctx, []string{"GOOS=wasip1", "GOARCH=wasm"}, nil, "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w -buildid=", "-o", out, "."); err != nil {
		return nil, err
	}
	var manifest strings.Builder
	if err := b.run(ctx, nil, &manifest, "go", "run", "."); err != nil {
		return nil, err
	}
	return b.join(out, []byte(manifest.String()))
}

// c builds every .c file of the project with clang, without a standard library.
func (b *Builder) c(ctx context.Context, work string) ([]byte, error) {
	clang, lld := firstOf("clang", "clang-22", "clang-21", "clang-20", "clang-19"), firstOf("wasm-ld", "wasm-ld-22", "wasm-ld-21", "wasm-ld-20", "wasm-ld-19")
	if clang == "" || lld == "" {
		return nil, missing("clang and lld (Debian: apt-get install clang-22 lld-22)")
	}
	sources, err := filepath.Glob(filepath.Join(b.Dir, "*.c"))
	if err != nil || len(sources) == 0 {
		return nil, api.Errorf("sdk.build", api.Invalid, "there is no .c file beside module.json")
	}
	linker, err := exec.LookPath(lld)
	if err != nil {
		return nil, missing("lld")
	}
	out := filepath.Join(work, "module.wasm")
	args := []string{
		"--target=wasm32", "-O3", "-std=c17", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-msimd128", "-mbulk-memory",
		"-fuse-ld=" + linker, "-Wl,--no-entry", "-Wl,--stack-first", "-Wl,-z,stack-size=65536", "-Wl,--strip-all", "-o", out,
	}
	for _, s := range sources {
		args = append(args, filepath.Base(s))
	}
	if err := b.run(ctx, nil, nil, clang, args...); err != nil {
		return nil, err
	}
	manifest, err := os.ReadFile(filepath.Join(b.Dir, "module.json"))
	if err != nil {
		return nil, api.E("sdk.build", api.NotFound, err)
	}
	return b.join(out, manifest)
}

// join puts a manifest in JSON into a linked file.
func (b *Builder) join(path string, manifest []byte) ([]byte, error) {
	m, err := parseManifest(manifest)
	if err != nil {
		return nil, err
	}
	wasm, err := os.ReadFile(path)
	if err != nil {
		return nil, api.E("sdk.build", api.Other, err)
	}
	return attach(wasm, m)
}

// run prints and runs a command in the project's folder. Its standard output
// goes to out, or to b.Out when that is nil.
func (b *Builder) run(ctx context.Context, env []string, out io.Writer, name string, args ...string) error {
	_, _ = io.WriteString(b.Out, commandLine(env, name, args)+"\n")
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = b.Dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = b.Out, b.Out
	if out != nil {
		cmd.Stdout = out
	}
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return api.E("sdk.build", api.Canceled, ctx.Err())
	case errors.Is(err, exec.ErrNotFound):
		return missing(name)
	}
	return api.Errorf("sdk.build", api.Other, filepath.Base(name)+" failed; what it says stands above")
}

// commandLine is a command as a shell would take it.
func commandLine(env []string, name string, args []string) string {
	parts := make([]string, 0, len(env)+1+len(args))
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		parts = append(parts, k+"="+quoted(v))
	}
	parts = append(parts, quoted(name))
	for _, a := range args {
		parts = append(parts, quoted(a))
	}
	return strings.Join(parts, " ")
}

func quoted(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"$\\*?;&|<>(){}[]`~#!") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func missing(what string) error {
	return api.Errorf("sdk.build", api.Unsupported, "a toolchain is missing; install "+what)
}

// firstOf is the first of the commands that is installed, else "".
func firstOf(names ...string) string {
	for _, n := range names {
		if _, err := exec.LookPath(n); err == nil {
			return n
		}
	}
	return ""
}

func (b *Builder) has(name string) bool { return exists(filepath.Join(b.Dir, name)) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
