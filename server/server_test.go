package server_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inos/client"
	"inos/kernel/api"
	"inos/server"
	"inos/server/servertest"
)

var (
	_ server.Backend = (*servertest.Fake)(nil)
	_ server.Backend = (*client.Client)(nil)

	update = flag.Bool("update", false, "rewrite the golden files")
)

// start serves a fake on a socket and on loopback TCP.
func start(t testing.TB) (*servertest.Fake, *server.Server, *client.Client) {
	t.Helper()
	fake := servertest.New()
	dir := t.TempDir()
	cfg := server.Config{
		Socket: filepath.Join(dir, "s"), TCP: "127.0.0.1:0", TokenFile: filepath.Join(dir, "token"),
		Origins: []string{"http://page.example"}, Version: "test",
	}
	s, err := server.Open(fake, cfg)
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(cfg.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	tokens[s] = strings.TrimSpace(string(token))
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	c := client.Unix(cfg.Socket)
	t.Cleanup(func() {
		c.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(cfg.Socket); err == nil {
			t.Error("the socket file is left behind")
		}
	})
	return fake, s, c
}

// tokenOf reads the token that a test's server was given.
func tokenOf(t testing.TB, s *server.Server) string {
	t.Helper()
	return tokens[s]
}

// tokens are those of the servers that start has made; tests run one at a time.
var tokens = map[*server.Server]string{}

func put(t testing.TB, c *client.Client, name, data string) api.Object {
	t.Helper()
	o, err := c.Put(t.Context(), api.PutRequest{Name: name, Size: uint64(len(data))}, strings.NewReader(data), nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func get(t testing.TB, c *client.Client, r api.GetRequest) (string, api.FileInfo, error) {
	t.Helper()
	var b bytes.Buffer
	var info api.FileInfo
	err := c.Get(t.Context(), r, func(i api.FileInfo) (io.Writer, error) {
		info = i
		return &b, nil
	})
	return b.String(), info, err
}

// TestEveryCall sends each call through a real socket and checks that what the
// fake says arrives whole.
func TestEveryCall(t *testing.T) {
	fake, _, c := start(t)
	ctx := t.Context()

	want, _ := fake.Status(ctx)
	if got, err := c.Status(ctx); err != nil || got.Node != want.Node || got.Balance != want.Balance || got.Roles != want.Roles || got.Store != want.Store {
		t.Fatal(got, err)
	}
	if v, err := c.Peers(ctx); err != nil || len(v) != 3 || v[1].Name != "birch" || !v[0].Self {
		t.Fatal(v, err)
	}
	if v, err := c.Tabs(ctx); err != nil || len(v.Nodes) != 1 || v.Nodes[0].Name != "alder" || v.Nodes[0].Addrs[0] != "/ip4/192.0.2.1/tcp/4410/ws" {
		t.Fatal(v, err)
	}
	if v, err := c.Arena(ctx); err != nil || v.Tier != "moderate" || len(v.Leases) != 2 || v.Heap.Owners[0].Name != "camera" {
		t.Fatal(v, err)
	}
	o := put(t, c, "Grüße 世界 🌲.txt", "hello")
	if o.Name != "Grüße 世界 🌲.txt" || o.Bytes != 5 || o.Link.Public() {
		t.Fatalf("%+v", o)
	}
	if got, info, err := get(t, c, api.GetRequest{Link: o.Link}); err != nil || got != "hello" || info.Name != o.Name || info.Size != 5 {
		t.Fatal(got, info, err)
	}
	if got, _, err := get(t, c, api.GetRequest{Link: o.Link, Offset: 1, Length: 3}); err != nil || got != "ell" {
		t.Fatal(got, err)
	}
	if v, err := c.Stat(ctx, api.StatRequest{Link: o.Link}); err != nil || v.Info.Name != o.Name || v.Entries == nil {
		t.Fatal(v, err)
	}
	put(t, c, "second", "x")
	page, err := c.List(ctx, api.ListRequest{Limit: 1})
	if err != nil || len(page.Objects) != 1 || page.Objects[0].Name != "second" || page.Next == "" {
		t.Fatal(page, err)
	}
	if page, err = c.List(ctx, api.ListRequest{Limit: 5, After: page.Next}); err != nil || len(page.Objects) != 1 || page.Next != "" {
		t.Fatal(page, err)
	}
	if v, err := c.Holders(ctx, o.Link); err != nil || len(v.Holders) != 2 || v.Link != o.Link {
		t.Fatal(v, err)
	}
	if err := c.Remove(ctx, o.Link); err != nil {
		t.Fatal(err)
	}
	if v, err := c.Doctor(ctx); err != nil || v[1].State != api.CheckWarn {
		t.Fatal(v, err)
	}
	var m bytes.Buffer
	if err := c.Metrics(ctx, &m); err != nil || !strings.Contains(m.String(), "inos_objects 1") {
		t.Fatal(m.String(), err)
	}
	if err := c.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	<-fake.Stopped()
}

func TestEveryCallOfWorkAndCredits(t *testing.T) {
	_, _, c := start(t)
	ctx := t.Context()
	o := put(t, c, "in", "data")
	run := api.RunRequest{Module: "compute", Unit: "hash", Method: "blake3", Params: []byte(`{"a":1}`), Inputs: []api.RunInput{{Link: o.Link}, {Link: o.Link}}}
	last := map[api.ID]api.JobState{}
	if err := c.Run(ctx, run, func(j api.Job) error {
		if last[j.Spec.ID].Final() {
			t.Error("an update after the final state")
		}
		last[j.Spec.ID] = j.State
		return nil
	}); err != nil || len(last) != 2 || last[api.ID{15: 1}] != api.JobDone || last[api.ID{15: 2}] != api.JobDone {
		t.Fatal(last, err)
	}
	if q, err := c.Quote(ctx, run); err != nil || q.Jobs != 2 || !q.Affords {
		t.Fatal(q, err)
	}
	jobs, err := c.Jobs(ctx, api.JobFilter{State: "done"})
	if err != nil || len(jobs.Jobs) != 2 {
		t.Fatal(jobs, err)
	}
	if j, err := c.Job(ctx, jobs.Jobs[0].Spec.ID); err != nil || j.Price != 1500 {
		t.Fatal(j, err)
	}
	if err := c.JobCancel(ctx, api.ID{9}); !errors.Is(err, api.NotFound) {
		t.Fatal(err)
	}
	if _, err := c.Jobs(ctx, api.JobFilter{State: "nonsense"}); !errors.Is(err, api.Invalid) {
		t.Fatal(err)
	}
	if v, err := c.Modules(ctx); err != nil || len(v) != 1 {
		t.Fatal(v, err)
	}
	if v, err := c.Module(ctx, "compute"); err != nil || v.Units[0].Methods[0].Name != "blake3" {
		t.Fatal(v, err)
	}
	if err := c.ModuleRemove(ctx, "compute", [64]byte{1}); err != nil {
		t.Error(err)
	}
	if v, err := c.ModuleAdd(ctx, strings.NewReader("\x00asm....")); err != nil || v.BuiltIn {
		t.Fatal(v, err)
	}
	if v, err := c.Invite(ctx, api.InviteRequest{TTL: 60, Roles: api.Edge}); err != nil || v.Roles != api.Edge {
		t.Fatal(v, err)
	}
	if err := c.Revoke(ctx, "no/body"); !errors.Is(err, api.NotFound) {
		t.Fatal(err)
	}
	if err := c.Revoke(ctx, "birch"); err != nil {
		t.Fatal(err)
	}
	if v, err := c.Credits(ctx, api.CreditsFilter{Cause: "settle"}); err != nil || v.Total != v.Genesis || v.Entries == nil || v.Escrows == nil {
		t.Fatal(v, err)
	}
	tr := api.TransferRequest{ID: api.ID{1}, To: "birch", Amount: 5}
	if v, err := c.Transfer(ctx, tr); err != nil || v.Amount != 5 {
		t.Fatal(v, err)
	}
	tr.Amount = 2000 * api.Credit
	if _, err := c.Transfer(ctx, tr); !errors.Is(err, api.Unfunded) {
		t.Fatal(err)
	}
}

// TestErrorsKeepTheirKind sends every kind through the wire.
func TestErrorsKeepTheirKind(t *testing.T) {
	fake, _, c := start(t)
	for k := api.Other; k <= api.Unsupported; k++ {
		fake.Fail("Status", api.Errorf("node.status", k, "do this"))
		fake.Fail("Put", api.Errorf("node.put", k, "do that"))
		_, err := c.Status(t.Context())
		var e *api.Error
		if !errors.As(err, &e) || e.Kind != k || e.Message() != "do this" || e.Op != "node.status" {
			t.Errorf("%s: status gave %v", k, err)
		}
		_, err = c.Put(t.Context(), api.PutRequest{}, strings.NewReader("x"), nil)
		if !errors.As(err, &e) || e.Kind != k || e.Message() != "do that" {
			t.Errorf("%s: put gave %v", k, err)
		}
	}
}

// TestPutIsFullDuplex needs progress to arrive before the body has ended: the
// source gives its second half only after the first was reported.
func TestPutIsFullDuplex(t *testing.T) {
	_, _, c := start(t)
	r, w := io.Pipe()
	seen := make(chan struct{}, 1)
	go func() {
		_, _ = w.Write(make([]byte, 64<<10))
		<-seen
		_, _ = w.Write([]byte("rest"))
		_ = w.Close()
	}()
	o, err := c.Put(t.Context(), api.PutRequest{Name: "p"}, r, func(api.Progress) {
		select {
		case seen <- struct{}{}:
		default:
		}
	})
	if err != nil || o.Bytes != 64<<10+4 {
		t.Fatal(o, err)
	}
}

// endless is a source without end.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.n += int64(len(p))
	return len(p), nil
}

func TestPutRefusedBeforeAndDuring(t *testing.T) {
	fake, _, c := start(t)
	src := &endless{}
	_, err := c.Put(t.Context(), api.PutRequest{Policy: api.Policy{Copies: 200}}, src, nil)
	if !errors.Is(err, api.Invalid) || src.n != 0 {
		t.Fatalf("%v after reading %d bytes", err, src.n)
	}
	fake.Fail("PutMiddle", api.Errorf("disk.put", api.NoSpace, "the disk is full"))
	if _, err := c.Put(t.Context(), api.PutRequest{}, src, nil); !errors.Is(err, api.NoSpace) {
		t.Fatal(err)
	}
	fake.Fail("PutMiddle", nil)
	broken := errors.New("cannot read photo.jpg")
	if _, err := c.Put(t.Context(), api.PutRequest{}, io.MultiReader(strings.NewReader("half"), failing{broken}), nil); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if page, _ := fake.List(t.Context(), api.ListRequest{Limit: 9}); len(page.Objects) != 0 {
		t.Fatal("half an upload became an object")
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = c.Put(ctx, api.PutRequest{}, src, func(api.Progress) { cancel() })
	if !errors.Is(err, api.Canceled) {
		t.Fatal(err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestGetFailsInTheMiddle(t *testing.T) {
	fake, s, c := start(t)
	o := put(t, c, "f", strings.Repeat("x", 100_000))
	fake.Fail("GetMiddle", api.Errorf("mesh.fetch", api.Corrupt, "no holder has an intact copy"))
	got, _, err := get(t, c, api.GetRequest{Link: o.Link})
	if !errors.Is(err, api.Corrupt) || len(got) != 50_000 {
		t.Fatal(len(got), err)
	}
	// A reader that takes no trailers must see a broken transfer.
	req := tcpRequest(t, s, "GET", "/v1/objects/"+o.Link.Root.String()+"/content")
	req.Header.Set("Inos-Key", strings.Split(o.Link.String(), "#")[1])
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
}

func TestGetRanges(t *testing.T) {
	_, s, c := start(t)
	o, err := c.Put(t.Context(), api.PutRequest{Name: "f", Policy: api.Policy{Public: true}}, strings.NewReader("0123456789"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		header string
		status int
		body   string
		crange string
	}{
		{"", 200, "0123456789", ""},
		{"bytes=2-4", 206, "234", "bytes 2-4/10"},
		{"bytes=8-", 206, "89", "bytes 8-9/10"},
		{"bytes=8-100", 206, "89", "bytes 8-9/10"},
		{"bytes=10-", 416, "", "bytes */10"},
		{"bytes=-3", 200, "0123456789", ""},
		{"bytes=1-2,4-5", 200, "0123456789", ""},
		{"lines=1-2", 200, "0123456789", ""},
	} {
		req := tcpRequest(t, s, "GET", "/v1/objects/"+o.Link.Root.String()+"/content")
		if tc.header != "" {
			req.Header.Set("Range", tc.header)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != tc.status || res.Header.Get("Content-Range") != tc.crange || tc.status < 300 && string(body) != tc.body {
			t.Errorf("%q: %d %q %q", tc.header, res.StatusCode, res.Header.Get("Content-Range"), body)
		}
	}
}

func TestLinksAndPathsAreChecked(t *testing.T) {
	_, _, c := start(t)
	o := put(t, c, "f", "x")
	wrong := o.Link
	wrong.Key[5] ^= 1
	if _, _, err := get(t, c, api.GetRequest{Link: wrong}); !errors.Is(err, api.Unverified) {
		t.Error(err)
	}
	if _, _, err := get(t, c, api.GetRequest{Link: api.Link{Root: api.Address{7}}}); !errors.Is(err, api.NotFound) {
		t.Error(err)
	}
	for _, p := range []string{"/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", "a\x00b", strings.Repeat("a", 5000)} {
		if _, _, err := get(t, c, api.GetRequest{Link: o.Link, Path: p}); !errors.Is(err, api.Invalid) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

// TestShutdownEndsEventStreams: a reader of events must not hold a node up.
func TestShutdownEndsEventStreams(t *testing.T) {
	fake := servertest.New()
	sock := filepath.Join(t.TempDir(), "s")
	s, err := server.Open(fake, server.Config{Socket: sock})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	c := client.Unix(sock)
	defer c.Close()
	open := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- c.Events(context.Background(), 1, func(api.Event) error { close(open); return nil })
	}()
	<-open
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, api.Closed) {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, api.Unavailable) || !strings.Contains(err.Error(), "no node is running") {
		t.Fatal(err)
	}
}
