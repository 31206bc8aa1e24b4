package main

import (
	"strings"
	"testing"
	"time"
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// suggestions are what the shell would be offered, without descriptions.
func suggestions(c *cli, args ...string) []string {
	c.t.Helper()
	var out []string
	for line := range strings.Lines(c.ok(append([]string{"__complete"}, args...)...)) {
		if word, _, _ := strings.Cut(strings.TrimSpace(line), "\t"); word != "" && !strings.HasPrefix(word, ":") {
			out = append(out, word)
		}
	}
	return out
}

func TestCompletions(t *testing.T) {
	c := newCLI(t)
	c.ok("put", makeTree(t), "--name", "tree")
	c.link("hello.txt", "x")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"get", ""}, "hello.txt tree"},
		{[]string{"rm", "tree", ""}, "hello.txt tree"},
		{[]string{"get", "tree/sub/"}, "tree/sub/b.txt tree/sub/deep tree/sub/up"},
		{[]string{"run", ""}, "compute/hash.blake3"},
		{[]string{"run", "compute/hash.blake3", ""}, "hello.txt tree"},
		{[]string{"run", "--node", ""}, "alder birch cedar"},
		{[]string{"peers", "revoke", ""}, "alder birch cedar"},
		{[]string{"peers", "revoke", "birch", ""}, ""},
		{[]string{"credits", "--account", ""}, "alder birch cedar treasury"},
		{[]string{"jobs", "--state", ""}, "queued quoted running done failed stopped"},
		{[]string{"module", "inspect", ""}, "compute"},
	} {
		if got := strings.Join(suggestions(c, tc.args...), " "); got != tc.want {
			t.Errorf("inos %s: %q, want %q", strings.Join(tc.args, " "), got, tc.want)
		}
	}
}

// TestCompletionWithoutANode suggests nothing, quickly, and fails nothing.
func TestCompletionWithoutANode(t *testing.T) {
	c := newCLI(t)
	c.sock = c.home + "/nobody"
	for _, args := range [][]string{{"get", ""}, {"run", ""}, {"run", "--node", ""}} {
		if got := suggestions(c, args...); len(got) > 0 {
			t.Error(args, got)
		}
	}
}
