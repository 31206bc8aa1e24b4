package enginetest

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// sumFile seals an entry of the cache.
const sumFile = "sum"

// cacheFiles lists the files of the only entry in dir but its sum, and sees that
// others cannot read them.
func cacheFiles(t *testing.T, dir string) (code []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !slices.Contains([]string{sumFile, "metered", "info"}, d.Name()) { // what the host writes beside it
			code = append(code, path)
		}
		return nil
	})
	if err != nil || len(code) != 1 {
		t.Fatalf("%v, %v", code, err)
	}
	if info, err := os.Stat(filepath.Dir(code[0])); err != nil || info.Mode().Perm()&0o077 != 0 {
		if up, err := os.Stat(filepath.Dir(filepath.Dir(code[0]))); err != nil || up.Mode().Perm()&0o077 != 0 {
			t.Errorf("others can read %s: %v", code[0], err)
		}
	}
	return code
}

// Whatever happens to the cache, calls work, and the entry is whole again after.
func cacheFaults(t *testing.T, mk Make) {
	faults := map[string]func(path string, b []byte) error{
		"none":    func(string, []byte) error { return nil },
		"flipped": func(path string, b []byte) error { b[len(b)/2] ^= 0x40; return os.WriteFile(path, b, 0o600) },
		"cut":     func(path string, b []byte) error { return os.WriteFile(path, b[:len(b)/3], 0o600) },
		"emptied": func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		"removed": func(path string, _ []byte) error { return os.Remove(path) },
		"unsealed": func(path string, _ []byte) error {
			for d := filepath.Dir(path); ; d = filepath.Dir(d) {
				if err := os.Remove(filepath.Join(d, sumFile)); err == nil || !os.IsNotExist(err) {
					return err
				}
			}
		},
		"a garbage": func(path string, _ []byte) error { return os.WriteFile(path, []byte("not code"), 0o600) },
	}
	wasm := Probe(t)
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			run := func() []byte {
				e := mk(t, Config{CacheDir: dir})
				if _, err := Load(t, e, wasm).Call(context.Background(), Call("echo")); err != nil {
					t.Fatal(err)
				}
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				b, err := os.ReadFile(cacheFiles(t, dir)[0])
				if err != nil {
					t.Fatal(err)
				}
				return b
			}
			before := run()
			if err := fault(cacheFiles(t, dir)[0], append([]byte(nil), before...)); err != nil {
				t.Fatal(err)
			}
			if after := run(); len(after) != len(before) {
				t.Errorf("%d bytes of code after, %d before", len(after), len(before))
			}
		})
	}
}
