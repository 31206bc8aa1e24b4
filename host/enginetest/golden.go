package enginetest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/zeebo/blake3"

	"inos/kernel/module"
)

const goldenFile = "golden.json"

var update = flag.Bool("update", false, "write golden.json and units.json from what the engine under test does")

// outcome is all of a call that must not depend on the engine.
type outcome struct {
	Output string `json:"output,omitempty"` // BLAKE3
	Error  string `json:"error,omitempty"`
	Gas    uint64 `json:"gas"`
}

// golden makes the same calls on every engine: the same bytes, words and gas come
// of them, twice each, in instances that others have used.
func golden(t *testing.T, traits Traits, mk Make) {
	e := mk(t, Config{Workers: 1})
	got := map[string]outcome{}
	do := func(m module.Module, guest string, c module.Call) {
		t.Helper()
		c.Limits.Gas, c.Limits.OutputBytes = 20_000_000, 1<<20
		c.SubmittedMS, c.Seed = 1_700_000_000_000, [32]byte{7}
		name := guest + "." + c.Method
		if len(c.Input) > 0 {
			name += "(" + strconv.Itoa(len(c.Input)) + ")"
		}
		for range 2 {
			var o outcome
			res, err := m.Call(context.Background(), c)
			o.Gas = res.Gas
			if err != nil {
				o.Error = err.Error()
			} else {
				sum := blake3.Sum256(res.Output)
				o.Output = hex.EncodeToString(sum[:8])
			}
			if was, ok := got[name]; ok && was != o {
				t.Errorf("%s: %+v, then %+v", name, was, o)
			}
			got[name] = o
		}
	}
	probe := Load(t, e, Probe(t))
	for _, f := range []string{"echo", "stat", "loop", "work", "grow", "recu", "trap", "0div", "oob", "badp", "badl", "garb", "bado", "big", "fail", "log", "loob", "fill", "copy"} {
		do(probe, "probe", Call(f))
	}
	for _, n := range []int{1, 1000, 100_000, 1 << 20} {
		c := Call("echo")
		c.Input = bytes.Repeat([]byte{byte(n), 1, 2}, n/3+1)[:n]
		do(probe, "probe", c)
	}
	do(Load(t, e, Guest(t, "wasi", "stat", "exit")), "wasi", Call("stat"))
	do(Load(t, e, Guest(t, "wasi", "stat", "exit")), "wasi", Call("exit"))
	do(Load(t, e, Guest(t, "sticky", "stat", "grow")), "sticky", Call("stat"))
	do(Load(t, e, Guest(t, "sticky", "stat", "grow")), "sticky", Call("grow"))
	do(Load(t, e, Guest(t, "badalloc", "echo")), "badalloc", Call("echo"))
	if o := got["probe.recu"]; traits.SmallStack && strings.Contains(o.Error, "stack") && strings.Contains(o.Error, "(unavailable)") {
		delete(got, "probe.recu")
		compare(t, goldenFile, got, "probe.recu")
		return
	}
	compare(t, goldenFile, got)
}

// compare compares all outcomes but those left out with a file.
func compare(t *testing.T, file string, got map[string]outcome, leftOut ...string) {
	t.Helper()
	path := filepath.Join(dir, file)
	if *update {
		b, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]outcome{}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	for _, name := range leftOut {
		delete(want, name)
	}
	for name, w := range want {
		if g, ok := got[name]; !ok || g != w {
			t.Errorf("%s:\n got %+v\nwant %+v", name, g, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d calls, the golden file has %d", len(got), len(want))
	}
}
