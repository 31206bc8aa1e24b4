package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/server"
)

type shown struct {
	Key    string
	Value  any
	Source string
}

func settingsOf(t *testing.T, c *cli, args ...string) map[string]shown {
	t.Helper()
	var list []shown
	if err := json.Unmarshal([]byte(c.ok(append([]string{"--json", "config"}, args...)...)), &list); err != nil {
		t.Fatal(err)
	}
	m := map[string]shown{}
	for _, s := range list {
		m[s.Key] = s
	}
	return m
}

// TestConfigLayers: default < file < environment < flag, each known by name.
func TestConfigLayers(t *testing.T) {
	c := newCLI(t)
	dir := filepath.Join(c.home, ".config", "inos")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	yaml := "name: from-file\nregion: from-file\nworkers: 3\nlisten: [/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2]\ndomain: from-file\n"
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c.env = []string{"INOS_REGION=from-env", "INOS_DOMAIN=from-env", "INOS_PORT=4280", "INOS_SOMETHING_ELSE=x", "INOS_ORIGINS=http://a,http://b"}
	got := settingsOf(t, c, "--domain", "from-flag")
	for key, want := range map[string]shown{
		"name":      {"name", "from-file", "file"},
		"region":    {"region", "from-env", "environment"},
		"domain":    {"domain", "from-flag", "flag"},
		"workers":   {"workers", 3.0, "file"},
		"port":      {"port", 4280.0, "environment"},
		"log_level": {"log_level", "info", "default"},
		"dir":       {"dir", filepath.Join(c.home, ".local/share/inos"), "default"},
		"socket":    {"socket", c.sock, "environment"},
	} {
		if got[key] != want {
			t.Errorf("%s: %+v, want %+v", key, got[key], want)
		}
	}
	if l, _ := got["listen"].Value.([]any); len(l) != 2 {
		t.Error(got["listen"])
	}
	if l, _ := got["origins"].Value.([]any); len(l) != 2 {
		t.Error(got["origins"])
	}
	c.env = []string{"XDG_DATA_HOME=/data"}
	if got := settingsOf(t, c); got["dir"].Value != "/data/inos" {
		t.Error(got["dir"])
	}
}

func TestConfigMistakes(t *testing.T) {
	c := newCLI(t)
	for content, says := range map[string]string{
		"title: x\n":         `no setting "title"`,
		"name: [\n":          "not readable YAML",
		"workers: many\n":    "wrong type",
		"log_level: loud\n":  "debug, info",
		"copies: 99\n":       "between 1 and 16",
		"name:\n  deep: x\n": "name.deep",
	} {
		if err := os.WriteFile("c.yaml", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := c.run("--config", "c.yaml", "config"); code != api.ExitCode(api.Invalid) || !strings.Contains(errs, says) {
			t.Errorf("%q: %d %s", content, code, errs)
		}
	}
}

// TestEverySettingHasAFlagAndADoc holds the one struct, its flags and its
// documentation together.
func TestEverySettingHasAFlagAndADoc(t *testing.T) {
	a := &app{}
	cmd := a.upCmd()
	root := a.root()
	doc, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys() {
		if docOf(key) == "" {
			t.Errorf("%s has no doc", key)
		}
		if cmd.Flags().Lookup(flagName(key)) == nil && root.PersistentFlags().Lookup(flagName(key)) == nil && key != "copies" {
			t.Errorf("%s has no flag", key)
		}
		if !strings.Contains(string(doc), "`"+key+"`") {
			t.Errorf("docs/cli.md does not name %s", key)
		}
	}
	for k := api.Invalid; k <= api.Unsupported; k++ {
		if kindHelp[k] == "" || !strings.Contains(string(doc), "`"+k.String()+"`") {
			t.Errorf("kind %s is not documented", k)
		}
	}
}

func TestSocketPath(t *testing.T) {
	a := &app{environ: func() []string { return []string{"XDG_RUNTIME_DIR=/run/user/1"} }}
	if p := a.socketPath("/data/inos"); p != "/data/inos/inos.sock" {
		t.Error(p)
	}
	long := "/" + strings.Repeat("d", 120)
	p, q := a.socketPath(long), a.socketPath(long+"x")
	if len(p) > maxSocketPath || p == q || filepath.Dir(p) != "/run/user/1/inos" {
		t.Error(p, q)
	}
}

func TestParamValues(t *testing.T) {
	got, err := parseParams(`{"keep":1,"width":2}`, []string{"width=256", "ok=true", "name=a b", "quoted=\"7\"", "list=[1, 2]", "none=null", "eq=a=b", "empty=", "big=12345678901234567890"})
	want := `{"big":12345678901234567890,"empty":"","eq":"a=b","keep":1,"list":[1,2],"name":"a b","none":null,"ok":true,"quoted":"7","width":256}`
	if err != nil || string(got) != want {
		t.Errorf("%s %v", got, err)
	}
	if got, err := parseParams("", nil); got != nil || err != nil {
		t.Error(got, err)
	}
}

func TestSizesAndDurations(t *testing.T) {
	for s, want := range map[string]uint64{"0": 0, "500000": 500_000, "200GiB": 200 << 30, "1.5 TB": 1.5e12, "4k": 4096} {
		if got, err := parseBytes(s); err != nil || got != want {
			t.Error(s, got, err)
		}
	}
	for _, s := range []string{"", "-1", "x", "1 parsec", "99999999TiB", "1e400"} {
		if got, err := parseBytes(s); err == nil {
			t.Error(s, got)
		}
	}
	for s, want := range map[string]time.Duration{"12h": 12 * time.Hour, "30d": 30 * 24 * time.Hour, "1.5d": 36 * time.Hour, "1y": 365 * 24 * time.Hour} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Error(s, got, err)
		}
	}
	for _, s := range []string{"", "0s", "-1h", "soon", "1000y", "NaNd"} {
		if got, err := parseDuration(s); err == nil {
			t.Error(s, got)
		}
	}
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 10 << 20: "10 MiB", 1<<64 - 1: "16 EiB"} {
		if got := bytesText(n); got != want {
			t.Error(n, got, want)
		}
	}
}

func TestPrintableDisarmsTerminals(t *testing.T) {
	if got := printable("a\x1b[31mb\r\nc\u202ed é世"); strings.ContainsAny(got, "\x1b\r\n\u202e") || !strings.Contains(got, "é世") {
		t.Errorf("%q", got)
	}
}

// TestConfigOfTheRunningNode: what the node started with counts, and a change
// since then is shown beside it.
func TestConfigOfTheRunningNode(t *testing.T) {
	c := newCLI(t)
	c.sock = filepath.Join(c.home, "running")
	s, err := server.Open(c.fake, server.Config{Socket: c.sock, Settings: []api.Setting{
		{Key: "name", Value: "cedar", Source: "flag"},
		{Key: "workers", Value: 4, Source: "default"},
		{Key: "origins", Value: []string{"http://a"}, Source: "file"},
		{Key: "copies", Value: 9, Source: "file"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	c.env = []string{"INOS_WORKERS=7"}
	for _, args := range [][]string{{"config"}, {"config", "show"}} {
		var rows []setting
		if err := json.Unmarshal([]byte(c.ok(append(args, "--json")...)), &rows); err != nil {
			t.Fatal(err)
		}
		got := map[string]setting{}
		for _, r := range rows {
			got[r.Key] = r
		}
		if r := got["name"]; r.Value != "cedar" || r.Source != "flag" || !r.Node || r.Next != nil {
			t.Errorf("%+v", r)
		}
		if r := got["workers"]; r.Value != 4.0 || r.Source != "default" || valueText(r.Next) != "7" {
			t.Errorf("%+v", r)
		}
		if r := got["copies"]; r.Node || r.Source != "default" || r.Value != 3.0 {
			t.Errorf("a setting of the command line came from the node: %+v", r)
		}
		if r := got["origins"]; valueText(r.Value) != "http://a" {
			t.Errorf("%+v", r)
		}
	}
	code, out, errs := c.run("config")
	if code != 0 || !strings.Contains(out, "7 after a restart") || !strings.Contains(errs, "is running") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}

// The tier of the shared memory decides its size, and with it the heap's.
func TestTheArenasTierIsASetting(t *testing.T) {
	for _, tier := range layout.Tiers {
		cfg, err := nodeConfig(Config{Arena: tier.Name}, nil)
		if err != nil || uint64(cfg.ArenaBytes) != tier.Size {
			t.Errorf("%s: %d bytes, %v", tier.Name, cfg.ArenaBytes, err)
		}
	}
	if _, err := nodeConfig(Config{Arena: "huge"}, nil); !errors.Is(err, api.Invalid) {
		t.Errorf("got %v", err)
	}
}
