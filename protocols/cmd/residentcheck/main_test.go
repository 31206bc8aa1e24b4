package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inos/modules"
)

// The step that the build runs fails when two residents are linked to one place.
func TestOverlapFailsTheBuild(t *testing.T) {
	b, err := modules.Load("boids")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	for _, name := range []string{one, two} {
		if err := os.WriteFile(name+".wasm", b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := check([]string{one}); err != nil {
		t.Errorf("one resident alone: %v", err)
	}
	if err := check([]string{one, two}); err == nil || !strings.Contains(err.Error(), "one and two overlap") {
		t.Errorf("two residents in one place: %v", err)
	}
}
