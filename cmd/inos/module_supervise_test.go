package main

import (
	"encoding/json"
	"strings"
	"testing"

	"inos/kernel/api"
)

func TestModuleShowAndReset(t *testing.T) {
	c := newCLI(t)
	status, out, errs := c.run("module", "show", "compute")
	if status != 0 {
		t.Fatal(status, errs)
	}
	for _, want := range []string{
		"compute@1.0.0", "quarantined since 1h 30m ago", "8 restarts, 5 in a row: the module trapped: unreachable",
		"1203 done, 1 running, 17 turned away", "4.5 G", "sendMessage 3", "birch for 10m 0s", "inos module reset compute@1.0.0",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing from:\n%s", want, out)
		}
	}
	status, out, errs = c.run("module", "reset", "compute")
	if status != 0 || !strings.Contains(out, "starting since") || strings.Contains(out, "inos module reset") {
		t.Errorf("reset: %d %s\n%s", status, errs, out)
	}
	var r api.ModuleReport
	status, out, errs = c.run("--json", "module", "show", "compute")
	if err := json.Unmarshal([]byte(out), &r); status != 0 || err != nil || r.State != "starting" || r.Calls != 1203 {
		t.Errorf("%d %s %v: %+v", status, errs, err, r)
	}
	if status, _, _ := c.run("module", "show", "nothing"); status != api.ExitCode(api.NotFound) {
		t.Errorf("an unknown module: status %d", status)
	}
}

func TestWhoHadAModuleAsk(t *testing.T) {
	payers := []api.SyscallPayer{
		{Name: "oak", Served: 3, Refused: 1, Spent: api.Credit / 2, Left: 4 * api.Credit},
		{Payer: api.NodeID{1}, Served: 2},
	}
	if got, want := askedText(payers), "oak 3 served, 1 refused, 0.5 credits spent and 4 left today; "+payers[1].Payer.Short()+" 2 served"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := askedText(make([]api.SyscallPayer, maxAsked+2)); !strings.HasSuffix(got, "; 2 more") {
		t.Errorf("%q", got)
	}
}
