package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inos/kernel/api"
)

func TestIdentityMoves(t *testing.T) {
	c := newCLI(t)
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "new")
	seed := bytes.Repeat([]byte{7}, 32)
	if code, _, errs := c.run("identity", "export", "--dir", from); code != api.ExitCode(api.NotFound) {
		t.Fatalf("%d: %s", code, errs)
	}
	if err := os.WriteFile(filepath.Join(from, "identity.key"), seed, 0o600); err != nil {
		t.Fatal(err)
	}
	code, word, errs := c.run("identity", "export", "--dir", from)
	if code != 0 || !strings.HasPrefix(word, "inos-identity:") || strings.Count(word, "\n") != 1 || !strings.Contains(errs, "two nodes with one key") {
		t.Fatalf("%d: %q, %s", code, word, errs)
	}
	file := filepath.Join(t.TempDir(), "secret")
	c.ok("identity", "export", "--dir", from, "--out", file)
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatalf("the secret's file: %v, %v", fi, err)
	}
	if code, _, _ := c.run("identity", "export", "--dir", from, "--out", file); code != api.ExitCode(api.Exists) {
		t.Fatalf("a file was overwritten: %d", code)
	}
	for range 2 { // the second changes nothing
		c.ok("identity", "import", file, "--dir", to)
	}
	if got, err := os.ReadFile(filepath.Join(to, "identity.key")); err != nil || !bytes.Equal(got, seed) {
		t.Fatalf("the imported key is %x, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(from, "identity.key"), bytes.Repeat([]byte{8}, 32), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := c.run("identity", "import", file, "--dir", from); code != api.ExitCode(api.Exists) || !strings.Contains(errs, "new folder") {
		t.Fatalf("another identity was replaced: %d %s", code, errs)
	}
	if err := os.WriteFile(file, []byte(word[:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := c.run("identity", "import", file, "--dir", t.TempDir()); code != api.ExitCode(api.Invalid) || !strings.Contains(errs, "cut off") {
		t.Fatalf("half a secret was imported: %d %s", code, errs)
	}
}
