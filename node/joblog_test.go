//go:build !js

package node

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/wire"
)

func TestLogTailKeepsTheEnd(t *testing.T) {
	var tail logTail
	if tail.String() != "" {
		t.Fatal("a log that nobody wrote is not empty")
	}
	tail.add(module.Warning, []byte("two\nlines"))
	if got := tail.String(); got != "warning two lines\n" {
		t.Fatalf("%q", got)
	}
	for i := range 10_000 {
		tail.add(module.Info, fmt.Appendf(nil, "line %d \xff", i))
		if n := len(tail.String()); n > wire.MaxResultLog {
			t.Fatalf("%d bytes after line %d", n, i)
		}
	}
	got := tail.String()
	if !strings.HasPrefix(got, logCut) || !strings.HasSuffix(got, "info line 9999 \uFFFD\n") || !utf8.ValidString(got) {
		t.Fatalf("%q … %q", got[:60], got[len(got)-60:])
	}
	tail.add(module.Error, bytes.Repeat([]byte("x"), 1<<20))
	if got := tail.String(); len(got) > wire.MaxResultLog || !strings.HasSuffix(got, "x\n") {
		t.Fatalf("a long line: %d bytes", len(got))
	}
}

// What a guest logs on another node comes back with the result, and stays with
// the job.
func TestAJobBringsItsLogBack(t *testing.T) {
	nodes := startMesh(t, 2)
	waitOnline(t, nodes...)
	jobs := runAll(t, nodes[0], api.RunRequest{
		Module: "diagnostics", Unit: "echo", Method: "log", Params: []byte(`{"lines":3}`), Node: nodes[1].member.Name,
	})
	want := "info line 1\ninfo line 2\ninfo line 3\n"
	if len(jobs) != 1 || jobs[0].Result.Log != want || jobs[0].Result.Worker != nodes[1].id.ID() {
		t.Fatalf("%+v", jobs)
	}
	j, err := nodes[0].Job(t.Context(), jobs[0].Spec.ID)
	if err != nil || j.Result.Log != want {
		t.Fatalf("%q, %v", j.Result.Log, err)
	}
}
