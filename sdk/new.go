package sdk

import (
	"archive/tar"
	"bytes"
	"embed"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/andybalholm/brotli"

	"inos/kernel/api"
	"inos/modules"
	"inos/protocols"
)

// Languages are those that New knows.
var Languages = []string{"rust", "go"}

//go:embed all:templates
var templates embed.FS

//go:embed go/*.go
var goSDK embed.FS

// vendor.tar.br holds the crates that the Rust SDK depends on and the lock file
// that names them; scripts/sdk-vendor.sh makes it.
//
//go:embed rust/vendor.tar.br
var rustVendor []byte

// maxVendor bounds the unpacked crates, bytes.
const maxVendor = 64 << 20

var projectName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// New makes a project called name in the folder dir, which must not exist or be
// empty. It writes the SDK's sources to .inos in it.
//
// Errors: Invalid for a name or language that cannot be, Exists for a folder that
// holds something.
func New(lang, name, dir string) error {
	const op = "sdk.new"
	if !projectName.MatchString(name) {
		return api.Errorf(op, api.Invalid, "a module's name is 1 to 32 of a-z, 0-9 and -, and begins with a letter")
	}
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return api.Errorf(op, api.Exists, "the folder "+dir+" is not empty; choose another with --dir")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return api.E(op, api.Denied, err)
	}
	switch lang {
	case "rust":
		err = errors.Join(writeTemplate(lang, name, dir), writeRustSDK(filepath.Join(dir, ".inos")))
	case "go":
		err = errors.Join(writeTemplate(lang, name, dir), writeGoSDK(filepath.Join(dir, ".inos")))
	default:
		return api.Errorf(op, api.Invalid, "--lang is "+strings.Join(Languages, " or "))
	}
	if err != nil {
		return api.E(op, api.Other, err)
	}
	return nil
}

// writeTemplate copies a template: NAME in texts becomes the name, and CRATE the
// name as an identifier. A file's ending .txt goes.
func writeTemplate(lang, name, dir string) error {
	root, err := fs.Sub(templates, "templates/"+lang)
	if err != nil {
		return err
	}
	replace := strings.NewReplacer("NAME", name, "CRATE", strings.ReplaceAll(name, "-", "_"))
	return fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(dir, filepath.FromSlash(strings.TrimSuffix(path, ".txt"))), []byte(replace.Replace(string(text))))
	})
}

// writeGoSDK writes the package as a module of its own.
func writeGoSDK(dir string) error {
	if err := writeFile(filepath.Join(dir, "go.mod"), []byte("module inos\n\ngo 1.24\n")); err != nil {
		return err
	}
	return copyFS(goSDK, "go", filepath.Join(dir, "sdk", "go"))
}

// writeRustSDK writes the SDK in the shape of its repository, which its includes
// rely on, and the crates beside it.
func writeRustSDK(dir string) error {
	workspace, err := modules.SDK.ReadFile("Cargo.toml")
	if err != nil {
		return err
	}
	members := regexp.MustCompile(`(?m)^members = .*$`)
	workspace = members.ReplaceAll(workspace, []byte(`members = ["sdk"]`))
	return errors.Join(
		writeFile(filepath.Join(dir, "modules", "Cargo.toml"), workspace),
		copyFS(modules.SDK, "sdk", filepath.Join(dir, "modules", "sdk")),
		copyFS(protocols.Rust, "gen", filepath.Join(dir, "protocols", "gen")),
		unpackVendor(dir),
	)
}

func unpackVendor(dir string) error {
	r := tar.NewReader(io.LimitReader(brotli.NewReader(bytes.NewReader(rustVendor)), maxVendor))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(h.Name)), data); err != nil {
			return err
		}
	}
}

func copyFS(from embed.FS, root, to string) error {
	return fs.WalkDir(from, root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := from.ReadFile(path)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(to, filepath.FromSlash(strings.TrimPrefix(path, root))), data)
	})
}

func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
