package wasm

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/meter"
)

// cacheEntry is the only entry of a cache, and the code that the engine left in it.
func cacheEntry(t *testing.T, dir string) (entry, code string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	entry = filepath.Join(dir, list[0].Name())
	ours := []string{sumFile, meteredFile, infoFile}
	var files []string
	err = filepath.WalkDir(entry, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !slices.Contains(ours, filepath.Base(path)) {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	return entry, files[0]
}

// A cache that the engine refuses although its sum is right is written anew, whether it is
// the code that is wrong or the module.
func TestCacheSealedGarbage(t *testing.T) {
	dir, wasm := t.TempDir(), probe(t)
	e := newEngine(t, Config{CacheDir: dir})
	load(t, e, wasm)
	_ = e.Close()
	entry, code := cacheEntry(t, dir)
	for _, path := range []string{code, filepath.Join(entry, meteredFile)} {
		if err := os.WriteFile(path, []byte("not code"), 0o600); err != nil {
			t.Fatal(err)
		}
		sum, _ := (&codeCache{dir: entry}).sum()
		if err := os.WriteFile(filepath.Join(entry, sumFile), sum, 0o600); err != nil {
			t.Fatal(err)
		}
		e = newEngine(t, Config{CacheDir: dir})
		if _, err := load(t, e, wasm).Call(context.Background(), call("echo")); err != nil {
			t.Fatal(err)
		}
		_ = e.Close()
	}
}

// What is kept beside the code is what the meter gives, and a file that is missing
// or changed makes the entry useless.
func TestCacheKeepsTheRewrittenModule(t *testing.T) {
	dir, wasm := t.TempDir(), probe(t)
	e := newEngine(t, Config{CacheDir: dir})
	load(t, e, wasm)
	_ = e.Close()
	entry, _ := cacheEntry(t, dir)
	c := openCache(dir, module.HashOf(wasm), e.cfg.Machines)
	if c.dir != entry {
		t.Fatalf("the entry is %s, not %s", c.dir, entry)
	}
	metered, info, ok := c.rewritten()
	want, wantInfo, err := meter.Instrument(wasm)
	if err != nil || !ok || !bytes.Equal(metered, want) || !reflect.DeepEqual(info, wantInfo) {
		t.Errorf("%d bytes of %d, %+v, want %+v; %v", len(metered), len(want), info, wantInfo, err)
	}
	if err := os.WriteFile(filepath.Join(entry, meteredFile), want[:len(want)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := openCache(dir, module.HashOf(wasm), e.cfg.Machines).rewritten(); ok {
		t.Error("a module that was cut off is used")
	}
	if _, err := os.Stat(entry); err == nil {
		t.Error("the entry is still there")
	}
}

func TestCacheDirThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{CacheDir: filepath.Join(file, "cache")}); err == nil || api.KindOf(err) != api.Other {
		t.Errorf("got %v", err)
	}
}
