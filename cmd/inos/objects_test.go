package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"inos/kernel/api"
)

// TestSummaries: standard output holds the result alone, standard error says
// how it went, and neither --quiet nor --json does.
func TestSummaries(t *testing.T) {
	c := newCLI(t)
	if err := os.WriteFile("f", []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, errs := c.run("put", "f")
	if code != 0 || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "inos:") {
		t.Fatalf("%d %q", code, out)
	}
	if want := "f: 5 B in 1 file, stored as 2 B in 1 block, 2 of 3 copies so far; the rest follow when more nodes are online\n"; errs != want {
		t.Errorf("%q, want %q", errs, want)
	}
	link := strings.TrimSpace(out)
	code, out, errs = c.run("get", link, "g")
	if code != 0 || out != "g\n" || errs != "f: 5 B in 1 file, every byte verified\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
	for _, flag := range []string{"--quiet", "--json"} {
		for _, args := range [][]string{{"put", "f"}, {"get", link, "-"}, {"ls"}, {"credits"}} {
			if code, _, errs := c.run(append(args, flag)...); code != 0 || errs != "" {
				t.Errorf("inos %s %s: %d %q", strings.Join(args, " "), flag, code, errs)
			}
		}
	}
}

func TestRateText(t *testing.T) {
	for _, tc := range []struct {
		bytes uint64
		ms    int
		want  string
	}{{256 << 20, 1000, " at 268 MB/s"}, {2 << 20, 1000, " at 2.1 MB/s"}, {5, 1000, ""}, {1 << 30, 0, ""}} {
		if got := rateText(tc.bytes, ms(tc.ms)); got != tc.want {
			t.Errorf("%d bytes in %d ms: %q, want %q", tc.bytes, tc.ms, got, tc.want)
		}
	}
}

// TestNamesForLinks: what inos ls shows is as good as its link, and nothing is
// guessed.
func TestNamesForLinks(t *testing.T) {
	c := newCLI(t)
	tree := makeTree(t)
	link := strings.TrimSpace(c.ok("put", tree, "--name", "tree"))
	parsed, err := api.ParseLink(link)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tree", parsed.Root.String(), link} {
		if out := c.ok("get", name+"/sub/b.txt", "-"); out != "bee" {
			t.Errorf("%s: %q", name, out)
		}
		if out := c.ok("ls", name+"/"); !regexp.MustCompile(`(?m)^sub/ +- `).MatchString(out) {
			t.Errorf("%s: %q", name, out)
		}
	}
	c.ok("run", "compute/hash.blake3", "tree/a.txt")
	c.ok("put", tree, "--name", "tree")
	if code, _, errs := c.run("get", "tree"); code != api.ExitCode(api.Conflict) || !strings.Contains(errs, "several objects") {
		t.Error(code, errs)
	}
	if err := os.WriteFile("local.txt", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := c.run("run", "compute/hash.blake3", "local.txt"); code != api.ExitCode(api.NotFound) || !strings.Contains(errs, "inos put local.txt") || !strings.Contains(errs, "use its link") {
		t.Error(code, errs)
	}
	if code, _, errs := c.run("get", "elsewhere"); code != api.ExitCode(api.NotFound) || !strings.Contains(errs, "names count on the node that put the object") {
		t.Error(code, errs)
	}
	if code, _, errs := c.run("rm", "tree/a.txt"); code == 0 || errs == "" {
		t.Error("a part of an object was released", errs)
	}
	// A public object's address says everything; that nobody has it is the answer.
	if code, _, errs := c.run("get", api.Address{7}.String()); code != api.ExitCode(api.NotFound) || !strings.Contains(errs, "no node") {
		t.Error(code, errs)
	}
}

// TestOutputsStayOutOfTheWay: a run's outputs are counted, and listed when
// asked for.
func TestOutputsStayOutOfTheWay(t *testing.T) {
	c := newCLI(t)
	link := c.link("mine.txt", "x")
	c.ok("run", "compute/hash.blake3", link, link, link)
	code, out, errs := c.run("ls")
	if code != 0 || strings.Count(out, "\n") != 2 || !strings.Contains(out, "mine.txt") || !strings.Contains(errs, "and 3 job outputs") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if out := c.ok("ls", "--outputs"); strings.Contains(out, "mine.txt") || strings.Count(out, "compute/hash.blake3") != 3 {
		t.Error(out)
	}
	if out := c.ok("ls", "--all"); !strings.Contains(out, "mine.txt") || strings.Count(out, "inos:") != 4 {
		t.Error(out)
	}
	if _, out, _ := c.run("ls", "--json"); strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
	if code, _, _ := c.run("ls", "--all", "--outputs"); code != exitUsage {
		t.Error(code)
	}
}

// TestActsAnswer: what only acts says so, for people and for programs.
func TestActsAnswer(t *testing.T) {
	c := newCLI(t)
	link := c.link("f", "x")
	for _, tc := range []struct {
		args       []string
		says, json string
	}{
		{[]string{"peers", "revoke", "birch"}, "birch is no longer a member", `{"revoked":"birch"}`},
		{[]string{"stop"}, "stops", `{"stopping":true}`},
		{[]string{"rm", link}, "released bafkr4i", ""},
	} {
		if code, out, errs := c.run(tc.args...); code != 0 || out != "" || !strings.Contains(errs, tc.says) {
			t.Errorf("%v: %d %q %q", tc.args, code, out, errs)
		}
		if tc.json == "" {
			continue
		}
		if code, out, errs := c.run(append(tc.args, "--json")...); code != 0 || strings.TrimSpace(out) != tc.json || errs != "" {
			t.Errorf("%v: %d %q %q", tc.args, code, out, errs)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 copies", 1: "1 copy", 2: "2 copies"} {
		if got := count(n, "copy"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestParseGas(t *testing.T) {
	for text, want := range map[string]uint64{"5000": 5000, "500M": 5e8, "20G": 20e9, "1.5 T": 15e11, "2k": 2000} {
		if got, err := parseGas(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "G", "-1", "0", "NaN", "inf", "1e30", "5 X"} {
		if got, err := parseGas(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

// TestMissingFileSaysWhere: the message names the path and the folder that it
// was looked for in.
func TestMissingFileSaysWhere(t *testing.T) {
	c := newCLI(t)
	_, _, errs := c.run("put", "no/such")
	if want := fmt.Sprintf("there is no file or folder no/such in %s; check the path", c.home); !strings.Contains(errs, want) {
		t.Errorf("%q, want %q", errs, want)
	}
}
