package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/modules"
)

func TestModuleSignAndVerify(t *testing.T) {
	c := newCLI(t)
	wasm, err := modules.Load("diagnostics")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("m.wasm", wasm, 0o644); err != nil {
		t.Fatal(err)
	}
	want := func(kind api.Kind, args ...string) {
		t.Helper()
		if code, out, errs := c.run(args...); code != api.ExitCode(kind) {
			t.Errorf("inos %s: exit %d, want %s\n%s%s", strings.Join(args, " "), code, kind, out, errs)
		}
	}
	want(api.NotFound, "module", "verify", "m.wasm")
	if out := c.ok("module", "inspect", "m.wasm"); !strings.Contains(out, "unsigned") {
		t.Errorf("an unsigned file:\n%s", out)
	}

	var signed struct{ Author, Hash string }
	if err := json.Unmarshal([]byte(c.ok("--json", "module", "sign", "m.wasm")), &signed); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []string{"verify", "inspect"} {
		if out := c.ok("module", cmd, "m.wasm"); !strings.Contains(out, signed.Author+" (signature holds)") || !strings.Contains(out, signed.Hash) {
			t.Errorf("module %s does not name the author %s:\n%s", cmd, signed.Author, out)
		}
	}
	key := filepath.Join(c.home, ".config", "inos", "author.key")
	if st, err := os.Stat(key); err != nil || st.Mode().Perm() != 0o600 || st.Size() != 32 {
		t.Errorf("the author's key: %v, %v", st, err)
	}
	if again := c.ok("--json", "module", "sign", "m.wasm"); !strings.Contains(again, signed.Hash) {
		t.Errorf("signed again by the same author, the file differs:\n%s", again)
	}

	if err := os.WriteFile("other.key", []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := c.ok("module", "sign", "m.wasm", "--key", "other.key", "-o", "other.wasm"); strings.Contains(out, signed.Author) {
		t.Errorf("another key is the same author:\n%s", out)
	}
	b, err := os.ReadFile("m.wasm")
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile("bad.wasm", b, 0o644); err != nil {
		t.Fatal(err)
	}
	want(api.Unverified, "module", "verify", "bad.wasm")
	want(api.NotFound, "module", "sign", "m.wasm", "--key", "none.key")
	want(api.Invalid, "module", "sign", "m.wasm", "--key", "m.wasm")
	want(api.Invalid, "module", "sign", "other.key")
	want(api.NotFound, "module", "verify", "none.wasm")
}
