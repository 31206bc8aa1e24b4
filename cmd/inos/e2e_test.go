package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"inos/client"
	"inos/cluster"
	"inos/kernel/api"
)

// These tests start the real program as real processes on loopback.

var e2eExe string // built once, by exe

// exe builds the program for the tests of this file.
func exe(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	if e2eExe == "" {
		dir, err := os.MkdirTemp("", "inos-e2e-")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "inos")
		if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		e2eExe = path
	}
	return e2eExe
}

func processes(t *testing.T, names ...string) *cluster.Cluster {
	t.Helper()
	c := &cluster.Cluster{Exe: exe(t), Dir: t.TempDir()}
	t.Cleanup(c.Stop)
	for _, name := range names {
		if _, err := c.Enter(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Together(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// inos runs one command against a node and returns its standard output.
func inos(t *testing.T, n *cluster.Node, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), exe(t), append([]string{"--dir", n.Dir}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("inos %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String()), err
}

func must(t *testing.T, n *cluster.Node, args ...string) string {
	t.Helper()
	out, err := inos(t, n, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func exitCode(err error) int {
	var e *exec.ExitError
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return 0
}

// mixedFolder writes random, repetitive and small files that add up to about
// size bytes. Every text file holds marker.
func mixedFolder(t *testing.T, size int, marker string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mixed")
	r := rand.New(rand.NewSource(42))
	write := func(name string, fill func(w *bufio.Writer) error) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := bufio.NewWriterSize(f, 1<<20)
		if err := errors.Join(fill(w), w.Flush(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write("video.bin", func(w *bufio.Writer) error { _, err := io.CopyN(w, r, int64(size/2)); return err })
	write("logs/server.log", func(w *bufio.Writer) error {
		for n := 0; n < size/3; {
			k, err := fmt.Fprintf(w, "%s request %d took %d ms\n", marker, n, r.Intn(1000))
			if n += k; err != nil {
				return err
			}
		}
		return nil
	})
	for i := range 300 {
		write(fmt.Sprintf("notes/%d/%03d.txt", i%7, i), func(w *bufio.Writer) error {
			_, err := fmt.Fprintf(w, "%s note %d\n%s", marker, i, strings.Repeat("words ", r.Intn(2000)))
			return err
		})
	}
	left := size / 6
	for i := 0; left > 0; i++ {
		n := min(1+r.Intn(4<<20), left)
		left -= n
		write(fmt.Sprintf("photos/%03d.raw", i), func(w *bufio.Writer) error { _, err := io.CopyN(w, r, int64(n)); return err })
	}
	return dir
}

func bytesWanted(otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv("INOS_E2E_MIB")); err == nil {
		return n << 20
	}
	return otherwise
}

// A folder survives the SIGKILL of a holder, byte for byte, and is soon kept in
// three copies again; no plaintext is on any disk.
func TestFolderSurvivesAKilledHolder(t *testing.T) {
	const marker = "TOP-SECRET-MARKER-7b1f"
	c := processes(t, "a", "b", "c", "d")
	folder := mixedFolder(t, bytesWanted(96<<20), marker)
	var obj api.Object
	if err := json.Unmarshal([]byte(must(t, c.Nodes[0], "put", "--json", folder)), &obj); err != nil {
		t.Fatal(err)
	}
	if obj.Acks < 3 {
		t.Fatalf("acknowledged with %d receipts", obj.Acks)
	}
	for _, n := range c.Nodes {
		searchDisk(t, n.Dir, marker)
	}
	c.Nodes[1].Kill()
	out := filepath.Join(t.TempDir(), "back")
	must(t, c.Nodes[2], "get", obj.Link.String(), out)
	if diff, err := exec.Command("diff", "-r", folder, out).CombinedOutput(); err != nil {
		t.Fatalf("diff: %v\n%s", err, diff)
	}
	err := cluster.Wait(t.Context(), 90*time.Second, "three copies again", func() bool {
		h, err := c.Nodes[0].Client.Holders(t.Context(), obj.Link)
		return err == nil && h.Copies >= 3
	})
	if err != nil {
		t.Fatal(err)
	}
}

// searchDisk fails when a file below dir holds the text.
func searchDisk(t *testing.T, dir, text string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // files come and go while the node runs
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		if bytes.Contains(b, []byte(text)) {
			t.Errorf("%s holds plaintext", path)
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Fatalf("looked at %d files: %v", files, err)
	}
}

// Pictures are worked on by all nodes, with the same bytes on each, and the
// credits add up.
func TestHundredPictures(t *testing.T) {
	c := processes(t, "a", "b", "c")
	folder := filepath.Join(t.TempDir(), "pictures")
	makePictures(t, folder, 100)
	link := lastWord(must(t, c.Nodes[0], "put", folder))
	run := func(args ...string) []api.Job {
		t.Helper()
		out := must(t, c.Nodes[0], append([]string{"run", "--json", "compute/image.thumbnail", "--param", "width=256"}, args...)...)
		var jobs []api.Job
		for _, line := range strings.Split(out, "\n") {
			var j api.Job
			if err := json.Unmarshal([]byte(line), &j); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			if j.State.Final() {
				jobs = append(jobs, j)
			}
		}
		return jobs
	}
	workers, outputs := map[api.NodeID]int{}, map[string]api.Hash{}
	jobs := run(link)
	for _, j := range jobs {
		if j.State != api.JobDone {
			t.Fatalf("%s: %s", j.Name, j.Result.Message)
		}
		workers[j.Result.Worker]++
		outputs[j.Name] = j.Result.OutputHash
	}
	if len(jobs) != 100 || len(workers) != 3 {
		t.Fatalf("%d jobs on %d nodes: %v", len(jobs), len(workers), workers)
	}
	for _, n := range c.Nodes {
		for _, j := range run("--node", n.Name, link+"/p007.jpg") {
			if j.State != api.JobDone || j.Result.Worker != n.ID || j.Result.OutputHash != outputs["p007.jpg"] {
				t.Errorf("on %s: %+v", n.Name, j.Result)
			}
		}
	}
	err := cluster.Wait(t.Context(), 30*time.Second, "the ledger to settle", func() bool {
		rep, err := c.Nodes[2].Client.Credits(t.Context(), api.CreditsFilter{})
		if err != nil || rep.Total != rep.Genesis || rep.Genesis == 0 {
			t.Fatalf("the credits add up to %s of %s, %v", rep.Total, rep.Genesis, err)
		}
		for _, b := range rep.Balances {
			if b.Account.Kind == api.EscrowAccount && b.Amount != 0 {
				return false
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

func lastWord(s string) string {
	f := strings.Fields(s)
	for _, w := range f {
		if strings.HasPrefix(w, api.LinkScheme) {
			return w
		}
	}
	return ""
}

func makePictures(t *testing.T, dir string, n int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m := image.NewRGBA(image.Rect(0, 0, 480, 320))
		for y := range 320 {
			for x := range 480 {
				m.SetRGBA(x, y, color.RGBA{uint8(x*(i+3)/7 + y), uint8(y * (i%5 + 1)), uint8((x ^ y) + i), 255})
			}
		}
		ext, encode := "jpg", func(w io.Writer) error { return jpeg.Encode(w, m, nil) }
		if i%10 == 9 {
			ext, encode = "png", func(w io.Writer) error { return png.Encode(w, m) }
		}
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("p%03d.%s", i, ext)))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(encode(f), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// A node killed at random points of puts keeps everything it acknowledged and
// opens again.
func TestKillDuringPut(t *testing.T) {
	c := processes(t, "a")
	n := c.Nodes[0]
	r := rand.New(rand.NewSource(7))
	acked := map[string]api.Link{} // content by link
	for round := range 6 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ctx.Err() == nil; i++ {
				body := fmt.Sprintf("%d/%d %s", round, i, strings.Repeat("x", (i%3)*700_000))
				obj, err := n.Client.Put(ctx, api.PutRequest{Name: "f"}, strings.NewReader(body), func(api.Progress) {})
				if err != nil {
					return
				}
				acked[body] = obj.Link
			}
		}()
		wait := time.After(time.Duration(50+r.Intn(400)) * time.Millisecond)
		<-wait
		n.Kill()
		cancel()
		<-done
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	for body, link := range acked {
		var got bytes.Buffer
		if err := n.Client.Get(t.Context(), api.GetRequest{Link: link}, func(api.FileInfo) (io.Writer, error) { return &got, nil }); err != nil || got.String() != body {
			t.Fatalf("an acknowledged object of %d bytes came back as %d: %v", len(body), got.Len(), err)
		}
	}
	page, err := n.Client.List(t.Context(), api.ListRequest{Limit: 1000})
	if err != nil || len(page.Objects) < min(len(acked), 1000) {
		t.Errorf("listed %d of %d objects, %v", len(page.Objects), len(acked), err)
	}
}

// What a user does wrong ends with the documented exit code and a message that
// says what to do.
func TestMistakesOnTheCommandLine(t *testing.T) {
	c := processes(t, "a")
	n := c.Nodes[0]
	link := lastWord(must(t, n, "put", writeFile(t, "hello.txt", "hello")))
	notModule := writeFile(t, "text.wasm", "this is no module")
	for _, tt := range []struct {
		args []string
		kind api.Kind
		says string
	}{
		{[]string{"get", "inos:bafkr4iaaaebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4", "-"}, api.NotFound, "no node"},
		{[]string{"get", link[:len(link)-4], "-"}, api.Invalid, "cut off"},
		{[]string{"get", "nonsense", "-"}, api.NotFound, "inos:"},
		{[]string{"module", "add", notModule}, api.Invalid, "WebAssembly"},
		{[]string{"run", "compute/hash.sha256", link, "--node", "nobody"}, api.NotFound, "nobody"},
		{[]string{"run", "nothing/hash.sha256", link}, api.NotFound, "module"},
		{[]string{"rm", "inos:bafkr4iaaaebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4"}, api.NotFound, "inos ls"},
	} {
		_, err := inos(t, n, tt.args...)
		if code := exitCode(err); code != api.ExitCode(tt.kind) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("inos %s: exit %d, want %d and %q in: %v", strings.Join(tt.args, " "), code, api.ExitCode(tt.kind), tt.says, err)
		}
	}
	away := client.Unix(filepath.Join(t.TempDir(), "none.sock"))
	if _, err := away.Status(t.Context()); !errors.Is(err, api.Unavailable) {
		t.Errorf("no node there: %v", err)
	}
}

func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// SIGTERM drains and stops within five seconds, even with a put under way.
func TestStopsWithinFiveSeconds(t *testing.T) {
	c := processes(t, "a", "b")
	n := c.Nodes[0]
	pr, pw := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := n.Client.Put(t.Context(), api.PutRequest{Name: "endless"}, pr, func(api.Progress) {})
		ended <- err
	}()
	if _, err := pw.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if took := n.Stop(); took > 5*time.Second {
		t.Errorf("stopped after %s, want 5 s", took)
	}
	_ = pw.CloseWithError(io.ErrUnexpectedEOF)
	if err := <-ended; err == nil {
		t.Error("a put that was cut off was acknowledged")
	}
}
