package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/server"
	"inos/server/servertest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// cli runs command lines against a fake node on a real socket.
type cli struct {
	t    *testing.T
	fake *servertest.Fake
	home string
	sock string
	in   io.Reader
	env  []string
}

func newCLI(t *testing.T) *cli {
	t.Helper()
	c := &cli{t: t, fake: servertest.New(), home: t.TempDir()}
	c.sock = filepath.Join(c.home, "s")
	s, err := server.Open(c.fake, server.Config{Socket: c.sock})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
	t.Chdir(c.home)
	return c
}

// run returns the exit status and both outputs.
func (c *cli) run(args ...string) (int, string, string) {
	c.t.Helper()
	return c.runCtx(c.t.Context(), args...)
}

func (c *cli) runCtx(ctx context.Context, args ...string) (int, string, string) {
	c.t.Helper()
	var out, errs bytes.Buffer
	env := append([]string{"HOME=" + c.home, "INOS_SOCKET=" + c.sock}, c.env...)
	a := &app{
		stdin: c.in, stdout: &out, stderr: &errs,
		environ: func() []string { return env },
		now:     func() time.Time { return servertest.Epoch.Add(90 * time.Minute) },
	}
	code := a.run(ctx, args)
	return code, out.String(), errs.String()
}

// ok runs a command that must succeed and returns its standard output.
func (c *cli) ok(args ...string) string {
	c.t.Helper()
	code, out, errs := c.run(args...)
	if code != 0 {
		c.t.Fatalf("inos %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// link puts data and returns its link.
func (c *cli) link(name, data string) string {
	c.t.Helper()
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(c.ok("put", name))
}

// TestGolden compares what people and programs see, command by command.
func TestGolden(t *testing.T) {
	golden, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	c := newCLI(t)
	link := c.link("hello.txt", "hello")
	c.fake.Fail("Doctor", api.Other)
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"status", []string{"status"}},
		{"peers", []string{"peers"}},
		{"arena", []string{"arena"}},
		{"ls", []string{"ls"}},
		{"ls-file", []string{"ls", link}},
		{"ls-where", []string{"ls", "--where", link}},
		{"run", []string{"run", "compute/hash.blake3", "-p", "a=1", link, link}},
		{"run-quote", []string{"run", "compute/hash.blake3", link, "--quote"}},
		{"jobs", []string{"jobs"}},
		{"module-ls", []string{"module", "ls"}},
		{"module-inspect", []string{"module", "inspect", "compute"}},
		{"credits", []string{"credits"}},
		{"transfer", []string{"credits", "transfer", "birch", "12.5"}},
		{"doctor", []string{"doctor"}},
		{"invite", []string{"invite", "--ttl", "7d"}},
		{"exit-codes", []string{"help", "exit-codes"}},
		{"help", []string{"--help"}},
	} {
		for _, mode := range []string{"txt", "json"} {
			args := tc.args
			if mode == "json" {
				if tc.name == "help" || tc.name == "exit-codes" {
					continue
				}
				args = append([]string{"--json"}, args...)
			}
			_, out, errs := c.run(args...)
			out = finalOnly(out)
			compare(t, filepath.Join(golden, tc.name+"."+mode), out+section(errs))
			if mode == "json" {
				checkJSON(t, tc.name, out)
			}
		}
	}
}

// finalOnly drops updates of running jobs: whether the server shows a state that
// is replaced at once depends on the clock.
func finalOnly(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if !strings.Contains(line, `"state":"running"`) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func section(errs string) string {
	if errs == "" {
		return ""
	}
	return "--- standard error\n" + errs
}

// checkJSON requires one value, or one per line.
func checkJSON(t *testing.T, name, out string) {
	t.Helper()
	for dec := json.NewDecoder(strings.NewReader(out)); ; {
		var v any
		if err := dec.Decode(&v); err == io.EOF {
			return
		} else if err != nil {
			t.Errorf("%s: not JSON: %v\n%s", name, err, out)
			return
		}
	}
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if zone, _ := time.Now().Zone(); strings.Contains(got, "works once") && zone != "UTC" {
		return // shown in the reader's own time
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it):\n--- got\n%s--- want\n%s", filepath.Base(file), got, want)
	}
}

func TestPutAndGetFolder(t *testing.T) {
	c := newCLI(t)
	src := makeTree(t)
	link := strings.TrimSpace(c.ok("put", src, "--name", "tree"))
	if c.ok("get", link) != "tree\n" {
		t.Error("the destination is not the object's name")
	}
	sameTree(t, src, "tree")
	if code, _, errs := c.run("get", link); code != api.ExitCode(api.Exists) || !strings.Contains(errs, "--force") {
		t.Error(code, errs)
	}
	// --force writes over what is there and leaves the rest.
	if err := os.WriteFile("tree/a.txt", []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("tree/mine", []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.ok("get", link, "tree", "--force")
	if b, err := os.ReadFile("tree/mine"); err != nil || string(b) != "mine" {
		t.Error("a file that is not of the object was touched")
	}
	_ = os.Remove("tree/mine")
	sameTree(t, src, "tree")

	c.ok("get", link+"/sub", "part")
	sameTree(t, filepath.Join(src, "sub"), "part")
	if out := c.ok("get", link+"/sub/b.txt", "-"); out != "bee" {
		t.Errorf("%q", out)
	}
	if out := c.ok("ls", link); !strings.Contains(out, "sub/") || !strings.Contains(out, "link -> a.txt") {
		t.Error(out)
	}
	if _, out, _ := c.run("ls", "--json", link); strings.Count(out, "\n") < 4 {
		t.Error(out)
	}
	left, _ := filepath.Glob(".inos-*")
	if len(left) > 0 {
		t.Error("temporary files are left:", left)
	}
}

func TestPutStdinAndGetToStdout(t *testing.T) {
	c := newCLI(t)
	c.in = strings.NewReader("from a pipe")
	link := strings.TrimSpace(c.ok("put", "-", "--name", "piped", "--public", "--copies", "2", "--keep", "30d"))
	if strings.Contains(link, "#") {
		t.Error("a public link has a key")
	}
	if out := c.ok("get", link, "-"); out != "from a pipe" {
		t.Errorf("%q", out)
	}
	page, _ := c.fake.List(t.Context(), api.ListRequest{Limit: 1})
	o := page.Objects[0]
	if want := servertest.Epoch.Add(90*time.Minute + 30*24*time.Hour).Unix(); o.Name != "piped" || o.Copies != 2 || o.Until != want {
		t.Errorf("%+v", o)
	}
	c.ok("rm", link)
	if code, _, _ := c.run("rm", link); code != api.ExitCode(api.NotFound) {
		t.Error(code)
	}
}

func TestGetLeavesNothingHalf(t *testing.T) {
	c := newCLI(t)
	file := c.link("f", strings.Repeat("x", 100_000))
	c.fake.Fail("GetMiddle", api.Errorf("mesh.fetch", api.Corrupt, "no holder has an intact copy"))
	if code, _, errs := c.run("get", file, "copy"); code != api.ExitCode(api.Corrupt) || !strings.Contains(errs, "intact copy") {
		t.Error(code, errs)
	}
	entries, _ := os.ReadDir(".")
	for _, e := range entries {
		if e.Name() == "copy" || strings.HasPrefix(e.Name(), ".inos-") {
			t.Error("left behind:", e.Name())
		}
	}
}

func TestErrorsAndExitCodes(t *testing.T) {
	c := newCLI(t)
	link := c.link("f", "x")
	wrongKey := link[:len(link)-2] + "AQ"
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"nonsense"}, 2, "unknown command"},
		{[]string{"module", "nonsense"}, 2, "unknown command"},
		{[]string{"completion", "nonsense"}, 2, "unknown command"},
		{[]string{"help", "nonsense"}, 2, "unknown help topic"},
		{[]string{"help", "module", "nonsense"}, 2, "unknown help topic"},
		{[]string{"peers", "nonsense"}, 2, "unknown command"},
		{[]string{"credits", "nonsense"}, 2, "unknown command"},
		{[]string{"jobs", "nonsense"}, 2, "unknown command"},
		{[]string{"ls", "--where"}, 2, "inos ls LINK --where"},
		{[]string{"put"}, 2, "at least 1 arg"},
		{[]string{"put", "f", "--colour"}, 2, "unknown flag"},
		{[]string{"put", "missing"}, api.ExitCode(api.NotFound), "missing"},
		{[]string{"put", "f", "--copies", "99"}, api.ExitCode(api.Invalid), "between 1 and 16"},
		{[]string{"put", "f", "--keep", "soon"}, api.ExitCode(api.Invalid), "30d"},
		{[]string{"put", "/dev/null"}, api.ExitCode(api.Invalid), "neither a file nor a folder"},
		{[]string{"get", "nonsense"}, api.ExitCode(api.NotFound), "elsewhere use its link (inos:"},
		{[]string{"get", link[:len(link)-3]}, api.ExitCode(api.Invalid), "cut off"},
		{[]string{"get", wrongKey}, api.ExitCode(api.Unverified), "key"},
		{[]string{"get", link + "/../x"}, api.ExitCode(api.Invalid), "relative"},
		{[]string{"get", api.Link{Root: api.Address{9}}.String()}, api.ExitCode(api.NotFound), "no node"},
		{[]string{"run", "compute"}, api.ExitCode(api.Invalid), "MODULE/UNIT.METHOD"},
		{[]string{"run", "a/b.c", "-p", "novalue"}, api.ExitCode(api.Invalid), "name=value"},
		{[]string{"run", "a/b.c", "--params", "[1]"}, api.ExitCode(api.Invalid), "JSON object"},
		{[]string{"run", "a/b.c", "--price-cap", "0"}, api.ExitCode(api.Invalid), "positive"},
		{[]string{"run", "a/b.fail", link, link}, api.ExitCode(api.Trapped), "2 of 2 jobs failed"},
		{[]string{"module", "inspect", "none"}, api.ExitCode(api.NotFound), "no module"},
		{[]string{"module", "add", "f"}, api.ExitCode(api.Invalid), "not a WebAssembly file"},
		{[]string{"credits", "transfer", "birch", "5000"}, api.ExitCode(api.Unfunded), "1000 credits"},
		{[]string{"invite", "--roles", "king"}, api.ExitCode(api.Invalid), "seed, hub or edge"},
		{[]string{"peers", "revoke", "nobody"}, api.ExitCode(api.NotFound), "nobody"},
		{[]string{"--config", "missing.yaml", "status"}, api.ExitCode(api.NotFound), "missing.yaml"},
	} {
		code, out, errs := c.run(tc.args...)
		if code != tc.code || !strings.Contains(errs, tc.says) || !strings.HasPrefix(errs, "inos: ") && !strings.Contains(errs, "\ninos: ") {
			t.Errorf("inos %s: exit %d, want %d\n%s%s", strings.Join(tc.args, " "), code, tc.code, out, errs)
		}
		if strings.Contains(errs, "\x1b") || strings.Contains(out, "\x1b") {
			t.Errorf("inos %s: colour where there is no terminal", strings.Join(tc.args, " "))
		}
	}
	code, _, errs := c.run("--json", "get", "nonsense")
	var v struct{ Error struct{ Kind, Detail string } }
	if json.Unmarshal([]byte(errs), &v) != nil || v.Error.Kind != "not-found" || code != 12 {
		t.Error(code, errs)
	}
}

func TestNoNode(t *testing.T) {
	c := newCLI(t)
	c.sock = filepath.Join(c.home, "nobody")
	code, _, errs := c.run("status")
	if want := "inos: no node is running at " + c.sock + "\n  start one in another terminal: inos up\n"; code != api.ExitCode(api.Unavailable) || errs != want {
		t.Errorf("%d\n%s", code, errs)
	}
	if _, _, errs := c.run("--dir", "elsewhere", "status"); !strings.Contains(errs, "inos up --dir "+filepath.Join(c.home, "elsewhere")) {
		t.Error(errs)
	}
}

func TestRunDownloadsOutputs(t *testing.T) {
	c := newCLI(t)
	link := c.link("f", "x")
	c.ok("run", "compute/hash.blake3", link, link, "--out", "results")
	entries, err := os.ReadDir("results")
	if err != nil || len(entries) != 2 || entries[0].Name() != "input-1" {
		t.Fatal(entries, err)
	}
	b, err := os.ReadFile("results/input-2")
	if err != nil || string(b) != "result" {
		t.Fatal(string(b), err)
	}
	if code, _, _ := c.run("run", "compute/hash.blake3", link, "--out", "results"); code != api.ExitCode(api.Exists) {
		t.Error(code)
	}
	c.ok("run", "compute/hash.blake3", link, "--out", "results", "--force")
}

// TestOutputNames: outputs keep their inputs' folders and never meet.
func TestOutputNames(t *testing.T) {
	n := outputNames{}
	for _, tc := range [][2]string{
		{"a/x.jpg", "a/x.jpg"},
		{"b/x.jpg", "b/x.jpg"},
		{"a/x.jpg", "a/x-2.jpg"},
		{"a", "a-2"},
		{"f", "f"},
		{"f/g", "g-4"},
		{"../evil", api.ID{}.Short()},
	} {
		if got := n.next(api.Job{Name: tc[0]}); got != tc[1] && tc[0] != "f/g" || strings.HasPrefix(got, "f/") {
			t.Errorf("%s: %s, want %s", tc[0], got, tc[1])
		}
	}
}

func TestInterrupt(t *testing.T) {
	c := newCLI(t)
	c.link("s.txt", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"run", "a/b.block"}, {"put", "."}, {"put", "s.txt"}, {"get", api.Link{Root: api.Address{9}}.String()}} {
		code, _, errs := c.runCtx(ctx, args...)
		if code != api.ExitCode(api.Canceled) || errs != "inos: interrupted\n" {
			t.Error(args, code, errs)
		}
	}
}

func TestVersionFlag(t *testing.T) {
	c := newCLI(t)
	if out := c.ok("--version"); out != c.ok("version") || !strings.HasPrefix(out, "inos ") {
		t.Error(out)
	}
}

func TestStopReachesTheNode(t *testing.T) {
	c := newCLI(t)
	c.ok("stop")
	<-c.fake.Stopped()
}

func TestUpRefusesASecondNode(t *testing.T) {
	c := newCLI(t)
	for _, args := range [][]string{{"up"}, {"join", "x"}} {
		if code, _, errs := c.run(args...); code != api.ExitCode(api.Exists) || !strings.Contains(errs, "already runs") {
			t.Error(code, errs)
		}
	}
}

// TestSecondSignalExits: the first signal stops, a repeat of it at once does
// nothing more, a later one ends the process.
func TestSecondSignalExits(t *testing.T) {
	signals := make(chan os.Signal, 3)
	for range 3 {
		signals <- os.Interrupt
	}
	clock := servertest.Epoch
	now := func() time.Time {
		clock = clock.Add(sameSignal / 2)
		return clock
	}
	stops, code := 0, -1
	obey(signals, now, func() { stops++ }, func(c int) { code = c })
	if stops != 1 || code != exitInterrupted || len(signals) != 0 {
		t.Error(stops, code, len(signals))
	}
}

func TestBaseName(t *testing.T) {
	link := api.Link{Root: api.Address{9}}
	root := link.Root.String()
	for _, tc := range [][2]string{{"photos", "photos"}, {"", "inos-" + root[len(root)-8:]}, {"..", "inos-" + root[len(root)-8:]}} {
		if got := baseName(api.FileInfo{Name: tc[0]}, link); got != tc[1] {
			t.Errorf("%q: %s, want %s", tc[0], got, tc[1])
		}
	}
}

func TestOnlyLoopback(t *testing.T) {
	const here, there = "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.2/udp/1/quic-v1"
	if !onlyLoopback([]string{here, "/ip6/::1/udp/1/quic-v1"}) || onlyLoopback([]string{here, there}) || onlyLoopback(nil) {
		t.Error("loopback addresses are not told from others")
	}
}
