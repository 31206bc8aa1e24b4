package main

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/module"
)

func TestSyscallSettings(t *testing.T) {
	cfg, err := nodeConfig(Config{
		Syscalls: []string{"* deny=hostCall:http", "counter receive=yes rate=50 budget=0.5"}, SyscallBudget: "3",
		SyscallOrigins: []string{"https://api.example.org"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := cfg.Syscalls.Policy
	if len(p.Rules) != 2 || p.Rules[1].Module != "counter" || !p.Rules[1].Receive || p.Total != 3*api.Credit || len(cfg.Syscalls.HTTPOrigins) != 1 {
		t.Errorf("%+v", cfg.Syscalls)
	}
	for _, bad := range []Config{{Syscalls: []string{"counter color=red"}}, {SyscallBudget: "0"}, {SyscallBudget: "much"}} {
		if _, err := nodeConfig(bad, nil); api.KindOf(err) != api.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, rules := envSetting("INOS_SYSCALLS", "a deny=fetchChunk,storeChunk; b rate=1"); len(rules.([]string)) != 2 {
		t.Errorf("from the environment: %q", rules)
	}
}

// TestGoSyscalls builds a module with the Go SDK and has it make every system call on
// a node, which the job was sent to by another.
func TestGoSyscalls(t *testing.T) {
	t.Setenv("INOS_SYSCALLS", "gosys receive=yes")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir()) // an author's key of this test's own
	c := processes(t, "oak", "cedar")
	oak, dir := c.Nodes[0], t.TempDir()
	file := filepath.Join(dir, "gosys.wasm")
	must(t, oak, "module", "build", "testdata/gosys", "-o", file)
	wasm, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d, err := module.Parse(wasm)
	if err != nil || d.Manifest.ABI != 2 || d.Manifest.Inbox != "call.note" || len(d.Manifest.Syscalls) != 5 {
		t.Fatalf("%+v, %v", d, err)
	}
	var info api.ModuleInfo
	if err := json.Unmarshal([]byte(must(t, oak, "--json", "module", "add", file)), &info); err != nil {
		t.Fatal(err)
	}
	input := filepath.Join(dir, "input.txt")
	if err := os.WriteFile(input, []byte("some input"), 0o600); err != nil {
		t.Fatal(err)
	}
	var obj api.Object
	if err := json.Unmarshal([]byte(lastLine(must(t, oak, "--json", "put", input))), &obj); err != nil {
		t.Fatal(err)
	}
	must(t, oak, "run", "gosys/call.every", "--node", "cedar", "-p", "link="+obj.Link.String(), "--out", filepath.Join(dir, "out"), obj.Link.String())
	sum := blake3.Sum256([]byte("some input"))
	want := "input: me in of 10\n" + `link: ome  of 10, "\x00\x00\x00\x00"` + "\nobject: true\n" +
		"block: " + hex.EncodeToString(sum[:]) + " true\n" + `value: a value
message: true
thread: SOME INPUT, gas true
thread: SOME INPUT, gas true
killed: not-found
unlisted: denied
`
	if got := string(onlyFile(t, filepath.Join(dir, "out"))); got != want {
		t.Errorf("the guest says\n%s\nwant\n%s", got, want)
	}
	// The letter waits in cedar's mailbox until the module has a place. Whoever takes it
	// works for cedar, so cedar alone sees what he keeps.
	deadline := time.Now().Add(20 * time.Second)
	for i := 0; ; i++ {
		out := filepath.Join(dir, "letter", strconv.Itoa(i))
		_, err := inos(t, c.Nodes[1], "run", "gosys/call.letter", "--node", "cedar", "--out", out)
		if err == nil {
			if got := string(onlyFile(t, out)); got != info.Hash.String()[:8]+" a letter" {
				t.Errorf("the mailbox brought %q", got)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the letter did not arrive: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
