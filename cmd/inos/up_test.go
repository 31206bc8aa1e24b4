package main

import (
	"strings"
	"testing"

	"inos/kernel/api"
)

// What a start prints reaches this node as it is typed, and an invite is offered
// where one can be made.
func TestNextSteps(t *testing.T) {
	a := &app{config: Config{Dir: "/data/my node", Socket: "/run/s"}, sources: map[string]string{"dir": sourceDefault, "socket": sourceDefault}}
	if got := a.nextSteps(api.Seed | api.Hub); got != "in another terminal:\n  inos put FOLDER\n  inos invite\n  inos status\nCtrl-C stops\n" {
		t.Error(got)
	}
	a.sources["dir"] = sourceFlag
	if got := a.nextSteps(api.Hub); !strings.Contains(got, "inos put FOLDER --dir '/data/my node'\n") || strings.Contains(got, "invite") {
		t.Error(got)
	}
	a.sources["socket"] = sourceEnv
	if got := a.nextSteps(api.Hub); !strings.Contains(got, "inos status --socket /run/s\n") {
		t.Error(got)
	}
}
