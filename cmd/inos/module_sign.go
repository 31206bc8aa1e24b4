package main

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/module"
)

const keyFlagHelp = "the author's key file, 32 bytes (default $XDG_CONFIG_HOME/inos/author.key, made on first use)"

func (a *app) moduleSignCmd() *cobra.Command {
	var key, out string
	cmd := &cobra.Command{
		Use: "sign FILE", Short: "Sign a module file with your author key", Args: cobra.ExactArgs(1),
		Long: `Sign a module file in place. The signature says that you gave this content its name and version;
other members then find it as NAME@VERSION. Your key is one file: whoever has it can publish in your name.`,
		RunE: func(_ *cobra.Command, args []string) error {
			wasm, err := readModule(args[0])
			if err != nil {
				return err
			}
			author, err := a.authorKey(key)
			if err != nil {
				return err
			}
			signed, err := module.Sign(author, wasm)
			if err != nil {
				return err
			}
			if out == "" {
				out = args[0]
			}
			if err := replaceFile(out, signed); err != nil {
				return err
			}
			return a.showSignature(signed)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", keyFlagHelp)
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the signed module here instead of over FILE")
	return cmd
}

func (a *app) moduleVerifyCmd() *cobra.Command {
	return &cobra.Command{
		Use: "verify FILE", Short: "Check a module file's signature and manifest", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			wasm, err := readModule(args[0])
			if err != nil {
				return err
			}
			if _, err := module.Parse(wasm); err != nil {
				return err
			}
			return a.showSignature(wasm)
		},
	}
}

// showSignature prints who signed a module; NotFound when nobody did.
func (a *app) showSignature(wasm []byte) error {
	s, err := module.Verify(wasm)
	if err != nil {
		return err
	}
	v := map[string]any{
		"name": s.Name, "version": s.Version, "hash": module.HashOf(wasm), "content": s.Content, "author": s.Author,
	}
	return a.show(v, func() {
		a.fields("module", s.Name+" "+s.Version, "hash", module.HashOf(wasm).String(), "author", s.Author.String()+" (signature holds)")
	})
}

// localModule describes a module file of this machine.
func localModule(path string) (api.ModuleInfo, error) {
	wasm, err := readModule(path)
	if err != nil {
		return api.ModuleInfo{}, err
	}
	d, err := module.Parse(wasm)
	if err != nil {
		return api.ModuleInfo{}, err
	}
	return d.Info(), nil
}

// readModule reads a module file, bounded.
func readModule(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, readError(err)
	}
	defer func() { _ = f.Close() }() // opened for reading
	wasm, err := io.ReadAll(io.LimitReader(f, api.MaxModule+1))
	if err != nil {
		return nil, readError(err)
	}
	if len(wasm) > api.MaxModule {
		return nil, api.Errorf("cli.module", api.Invalid, "a module has at most 64 MiB")
	}
	return wasm, nil
}

// authorKey reads the author's key. Without a path it is the one in the user's
// configuration folder, which the first use makes.
func (a *app) authorKey(path string) (identity.Identity, error) {
	const op = "cli.authorkey"
	made := path == ""
	if made {
		path = filepath.Join(a.xdg("XDG_CONFIG_HOME", ".config"), "inos", "author.key")
	}
	raw, err := os.ReadFile(path)
	switch {
	case made && errors.Is(err, fs.ErrNotExist):
		return newAuthorKey(path)
	case errors.Is(err, fs.ErrNotExist):
		return identity.Identity{}, api.E(op, api.NotFound, err)
	case err != nil:
		return identity.Identity{}, api.E(op, api.Denied, err)
	case len(raw) != identity.SeedSize:
		return identity.Identity{}, api.Errorf(op, api.Invalid, printable(path)+" is not a key: it does not have 32 bytes")
	}
	return identity.NewFromSeed([identity.SeedSize]byte(raw)), nil
}

// newAuthorKey makes a key that only this user can read. When another process
// makes it at the same time, the first one stands.
func newAuthorKey(path string) (identity.Identity, error) {
	const op = "cli.authorkey"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return identity.Identity{}, api.E(op, api.Denied, err)
	}
	var seed [identity.SeedSize]byte
	_, _ = rand.Read(seed[:]) // never fails
	tmp, err := os.CreateTemp(filepath.Dir(path), ".author-")
	if err != nil {
		return identity.Identity{}, api.E(op, api.Denied, err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(seed[:])
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return identity.Identity{}, writeFileError(err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return identity.Identity{}, api.E(op, api.Denied, err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || len(raw) != identity.SeedSize {
		return identity.Identity{}, api.Errorf(op, api.Invalid, printable(path)+" is not a key: it does not have 32 bytes")
	}
	return identity.NewFromSeed([identity.SeedSize]byte(raw)), nil
}

// replaceFile writes a file so that a reader sees the old or the new content.
func replaceFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".inos-")
	if err != nil {
		return writeFileError(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return writeFileError(err)
	}
	return writeFileError(os.Rename(tmp.Name(), path))
}
