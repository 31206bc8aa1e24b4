package sdk

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"inos/kernel/api"
)

const rustTarget = "wasm32-unknown-unknown"

// rustStack is the stack of a module, bytes.
const rustStack = "262144"

// rustToolchain is a compiler with what it needs for the target.
type rustToolchain struct {
	cargo string
	env   []string
	flags string   // of the compiler, for the target
	std   []string // of cargo, when the standard library is built too
}

// findRust prefers an installed target, as rustup makes it; else Debian's
// compiler with its sources of the standard library, as scripts/modules.sh.
func findRust(ctx context.Context) (rustToolchain, error) {
	const simd = "-Ctarget-feature=+simd128"
	if root := sysroot(ctx, "rustc"); root != "" && exists(filepath.Join(root, "lib/rustlib", rustTarget)) {
		return rustToolchain{cargo: "cargo", flags: simd}, nil
	}
	const rustc = "/usr/bin/rustc"
	lld := firstOf("wasm-ld-22", "wasm-ld-21", "wasm-ld-20", "wasm-ld")
	if root := sysroot(ctx, rustc); root != "" && lld != "" && exists(filepath.Join(root, "lib/rustlib/src/rust/library/std")) {
		return rustToolchain{
			cargo: "/usr/bin/cargo", env: []string{"RUSTC=" + rustc, "RUSTC_BOOTSTRAP=1"},
			flags: simd + " -Clinker=" + lld, std: []string{"-Zbuild-std=std,panic_abort"},
		}, nil
	}
	return rustToolchain{}, missing("Rust with the WebAssembly target (rustup: rustup target add " + rustTarget + "; Debian: apt-get install rustc-web cargo-web rust-web-src lld-22)")
}

func sysroot(ctx context.Context, rustc string) string {
	out, err := exec.CommandContext(ctx, rustc, "--print", "sysroot").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

var packageName = regexp.MustCompile(`(?m)^name\s*=\s*"([A-Za-z0-9_-]+)"`)

// rust compiles with cargo; the project's packer writes the manifest.
func (b *Builder) rust(ctx context.Context, work string) ([]byte, error) {
	const op = "sdk.rust"
	t, err := findRust(ctx)
	if err != nil {
		return nil, err
	}
	cargo, err := os.ReadFile(filepath.Join(b.Dir, "Cargo.toml"))
	if err != nil {
		return nil, api.E(op, api.NotFound, err)
	}
	match := packageName.FindSubmatch(cargo)
	if match == nil {
		return nil, api.Errorf(op, api.Invalid, "Cargo.toml names no package")
	}
	name := string(match[1])
	target := filepath.Join(b.Dir, "target")
	if dir := os.Getenv("CARGO_TARGET_DIR"); dir != "" {
		target = dir
	}
	if target, err = filepath.Abs(target); err != nil {
		return nil, api.E(op, api.Other, err)
	}
	vendor, err := b.vendored(ctx, t, work)
	if err != nil {
		return nil, err
	}
	home, err := repository(b.Dir)
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	env := append(t.env, "CARGO_TARGET_DIR="+target, "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="+t.flags+" --remap-path-prefix="+home+"=/module")
	args := append([]string{"rustc", "--release", "--lib", "--crate-type", "cdylib", "--target", rustTarget}, t.std...)
	args = append(append(args, vendor...), "--", "-Clink-arg=-zstack-size="+rustStack)
	if err := b.run(ctx, env, nil, t.cargo, args...); err != nil {
		return nil, err
	}
	linked := filepath.Join(target, rustTarget, "release", strings.ReplaceAll(name, "-", "_")+".wasm")
	packed := filepath.Join(work, "module.wasm")
	env = append(packEnv(t.env), "CARGO_TARGET_DIR="+target)
	if err := b.run(ctx, env, nil, t.cargo, "run", "-q", "--bin", name+"-pack", "--", linked, packed); err != nil {
		return nil, err
	}
	wasm, err := os.ReadFile(packed)
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	return wasm, nil
}

// repository is the nearest folder above dir, or dir itself, that git tracks; dir
// when none does. Paths below it are written into a module relative to it, so the
// same sources give the same bytes wherever they lie.
func repository(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if exists(filepath.Join(at, ".git")) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return dir, nil
		}
	}
}

// packEnv is env without the switch for unstable features, which the packer
// does not need and dependencies react to.
func packEnv(env []string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, "RUSTC_BOOTSTRAP=") {
			out = append(out, e)
		}
	}
	return out
}

// vendored are the arguments that let cargo build the standard library too from
// a project whose dependencies are vendored: one folder of links to both.
func (b *Builder) vendored(ctx context.Context, t rustToolchain, work string) ([]string, error) {
	own, err := filepath.Abs(filepath.Join(b.Dir, ".inos", "vendor"))
	if err != nil || len(t.std) == 0 || !exists(own) {
		return nil, err
	}
	std := filepath.Join(sysroot(ctx, "/usr/bin/rustc"), "lib/rustlib/src/rust/library/vendor")
	merged := filepath.Join(work, "vendor")
	if err := os.Mkdir(merged, 0o755); err != nil {
		return nil, api.E("sdk.rust", api.Other, err)
	}
	for prefix, dir := range map[string]string{"own-": own, "std-": std} {
		crates, err := os.ReadDir(dir)
		if err != nil {
			return nil, api.E("sdk.rust", api.NotFound, err)
		}
		for _, c := range crates {
			if err := os.Symlink(filepath.Join(dir, c.Name()), filepath.Join(merged, prefix+c.Name())); err != nil {
				return nil, api.E("sdk.rust", api.Other, err)
			}
		}
	}
	return []string{"--config", "source.vendored.directory='" + merged + "'"}, nil
}
