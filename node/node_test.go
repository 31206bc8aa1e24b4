//go:build !js

package node

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"path/filepath"
	"testing"
	"time"

	"inos/kernel/api"
)

// start runs a node in this process until the test ends.
func start(t testing.TB, cfg Config) *Node {
	t.Helper()
	cfg.Log = func(format string, args ...any) { t.Logf(cfg.Name+": "+format, args...) }
	cfg.GoneAfter = 500 * time.Millisecond
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// startMesh founds a mesh and joins size-1 more nodes to it.
func startMesh(t testing.TB, size int) []*Node {
	t.Helper()
	dir := t.TempDir()
	nodes := []*Node{start(t, Config{Dir: filepath.Join(dir, "n0"), Name: "n0"})}
	for i := 1; i < size; i++ {
		nodes = append(nodes, join(t, nodes[0], Config{Dir: filepath.Join(dir, fmt.Sprint("n", i)), Name: fmt.Sprint("n", i)}))
	}
	waitOnline(t, nodes...)
	return nodes
}

func join(t testing.TB, seed *Node, cfg Config) *Node {
	t.Helper()
	inv, err := seed.Invite(t.Context(), api.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), cfg, inv.Text); err != nil {
		t.Fatal(err)
	}
	return start(t, cfg)
}

// waitOnline waits until every node sees all others with their capabilities.
func waitOnline(t testing.TB, nodes ...*Node) {
	t.Helper()
	waitFor(t, "the mesh to form", func() bool {
		for _, n := range nodes {
			online := 0
			for _, p := range n.peerRows() {
				if p.Self || p.Online && p.Workers > 0 {
					online++
				}
			}
			if online < len(nodes) {
				return false
			}
		}
		return true
	})
}

func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func randomBytes(seed int64, n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

func put(t testing.TB, n *Node, name string, data []byte, p api.Policy) api.Object {
	t.Helper()
	obj, err := n.Put(t.Context(), api.PutRequest{Name: name, Policy: p, Size: uint64(len(data))}, bytes.NewReader(data), func(api.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	return obj
}

func get(ctx context.Context, n *Node, link api.Link, path string) ([]byte, error) {
	var b bytes.Buffer
	err := n.Get(ctx, api.GetRequest{Link: link, Path: path}, func(api.FileInfo) (io.Writer, error) { return &b, nil })
	return b.Bytes(), err
}

func mustGet(t testing.TB, n *Node, link api.Link, want []byte) {
	t.Helper()
	got, err := get(t.Context(), n, link, "")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes that differ from the %d put", len(got), len(want))
	}
}

func TestOneNodeAlone(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone"})
	for _, size := range []int{0, 1, 4096, api.ChunkSize, 3*api.ChunkSize + 17} {
		data := randomBytes(int64(size), size)
		obj := put(t, n, "f", data, api.Policy{})
		if obj.Acks != 1 || obj.Copies != 3 {
			t.Errorf("acks %d of %d copies, want 1 of 3", obj.Acks, obj.Copies)
		}
		mustGet(t, n, obj.Link, data)
	}
	if _, err := n.Put(t.Context(), api.PutRequest{Name: "f", Policy: api.Policy{MinAcks: 2}}, bytes.NewReader([]byte("x")), func(api.Progress) {}); !errors.Is(err, api.Unavailable) {
		t.Errorf("two receipts wanted of one node: %v", err)
	}
	page, err := n.List(t.Context(), api.ListRequest{})
	if err != nil || len(page.Objects) != 5 {
		t.Errorf("listed %d objects, %v", len(page.Objects), err)
	}
}

func TestPutIsKeptByThreeAndReadFromElsewhere(t *testing.T) {
	nodes := startMesh(t, 4)
	data := randomBytes(1, 9*api.ChunkSize+5)
	obj := put(t, nodes[0], "big.bin", data, api.Policy{})
	if obj.Acks != 3 {
		t.Fatalf("acknowledged with %d receipts, want 3", obj.Acks)
	}
	for _, n := range nodes {
		mustGet(t, n, obj.Link, data)
	}
	h, err := nodes[0].Holders(t.Context(), obj.Link)
	if err != nil || h.Copies != 3 || h.UnderReplicated != 0 {
		t.Fatalf("holders %+v, %v", h, err)
	}
	rep, err := nodes[1].Credits(t.Context(), api.CreditsFilter{})
	if err != nil || rep.Total != rep.Genesis || rep.Genesis != GenesisSupply {
		t.Fatalf("total %s of %s, %v", rep.Total, rep.Genesis, err)
	}
}

func TestRepairAfterLoss(t *testing.T) {
	nodes := startMesh(t, 4)
	data := randomBytes(2, 5*api.ChunkSize)
	obj := put(t, nodes[0], "f", data, api.Policy{})
	victim := nodes[3]
	h, err := nodes[0].Holders(t.Context(), obj.Link)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range h.Holders {
		for _, n := range nodes[1:] {
			if n.id.ID() == row.Node && row.Blocks > 0 {
				victim = n
			}
		}
	}
	_ = victim.Close()
	var alive []*Node
	for _, n := range nodes {
		if n != victim {
			alive = append(alive, n)
		}
	}
	for _, n := range alive {
		mustGet(t, n, obj.Link, data)
	}
	waitFor(t, "three copies again", func() bool {
		h, err := alive[0].Holders(t.Context(), obj.Link)
		return err == nil && h.Copies == 3
	})
}

func TestOthersSoonKnowWhatANodeKeeps(t *testing.T) {
	nodes := startMesh(t, 3)
	put(t, nodes[0], "a.bin", randomBytes(4, 1<<20), api.Policy{Copies: 3})
	waitFor(t, "the holders to announce what they keep", func() bool {
		rows, err := nodes[0].Peers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.Used < 1<<20 {
				return false
			}
		}
		return true
	})
}

func TestFolderOverTheMesh(t *testing.T) {
	nodes := startMesh(t, 3)
	var body bytes.Buffer
	tw := tar.NewWriter(&body)
	files := map[string][]byte{"a.txt": []byte("hello"), "sub/b.bin": randomBytes(3, 2*api.ChunkSize), "sub/empty": nil}
	for _, name := range []string{"a.txt", "sub/b.bin", "sub/empty"} {
		_ = tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Unix(1000, 0)})
		_, _ = tw.Write(files[name])
	}
	_ = tw.WriteHeader(&tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "a.txt"})
	_ = tw.Close()
	obj, err := nodes[0].Put(t.Context(), api.PutRequest{Name: "folder", Folder: true}, &body, func(api.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := get(t.Context(), nodes[2], obj.Link, name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	var out bytes.Buffer
	if err := nodes[1].Get(t.Context(), api.GetRequest{Link: obj.Link, Tar: true}, func(api.FileInfo) (io.Writer, error) { return &out, nil }); err != nil {
		t.Fatal(err)
	}
	names := map[string]byte{}
	for tr := tar.NewReader(&out); ; {
		h, err := tr.Next()
		if err != nil {
			break
		}
		names[h.Name] = h.Typeflag
	}
	if len(names) != 5 || names["link"] != tar.TypeSymlink || names["sub/"] != tar.TypeDir {
		t.Errorf("the tar stream has %v", names)
	}
}

func TestRemoveReleasesBlocks(t *testing.T) {
	nodes := startMesh(t, 3)
	obj := put(t, nodes[0], "f", randomBytes(4, 2*api.ChunkSize), api.Policy{})
	if err := nodes[1].Remove(t.Context(), obj.Link); !errors.Is(err, api.NotFound) {
		t.Errorf("another node removed it: %v", err)
	}
	if err := nodes[0].Remove(t.Context(), obj.Link); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the blocks to go", func() bool {
		for _, n := range nodes {
			if n.store.Usage().Blocks > 0 {
				return false
			}
		}
		return true
	})
	if _, err := get(t.Context(), nodes[1], obj.Link, ""); !errors.Is(err, api.NotFound) {
		t.Errorf("reading a removed object: %v", err)
	}
}

func TestInvites(t *testing.T) {
	seed := start(t, Config{Dir: t.TempDir(), Name: "seed"})
	inv, err := seed.Invite(t.Context(), api.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: t.TempDir(), Name: "b"}
	if _, err := Join(t.Context(), cfg, inv.Text[:len(inv.Text)-5]); !errors.Is(err, api.Invalid) {
		t.Errorf("a cut-off invite: %v", err)
	}
	if _, err := Join(t.Context(), cfg, inv.Text); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), Config{Dir: t.TempDir(), Name: "c"}, inv.Text); !errors.Is(err, api.Exists) {
		t.Errorf("a used invite: %v", err)
	}
	if _, err := Join(t.Context(), Config{Dir: t.TempDir(), Name: "b"}, mustInvite(t, seed).Text); !errors.Is(err, api.Exists) {
		t.Errorf("a taken name: %v", err)
	}
	b := start(t, cfg)
	waitOnline(t, seed, b)
	if _, err := b.Invite(t.Context(), api.InviteRequest{}); !errors.Is(err, api.Denied) {
		t.Errorf("an invite by a node that is no seed: %v", err)
	}
	stranger := start(t, Config{Dir: t.TempDir(), Name: "x"})
	if _, err := stranger.net.Connect(t.Context(), seed.net.Addrs()...); err == nil {
		t.Error("a stranger connected")
	}
	if err := seed.Revoke(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the revoked node to be cut off", func() bool { return !seed.net.Connected(b.id.ID()) })
}

func mustInvite(t testing.TB, n *Node) api.Invite {
	t.Helper()
	inv, err := n.Invite(t.Context(), api.InviteRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func runAll(t testing.TB, n *Node, req api.RunRequest) []api.Job {
	t.Helper()
	var out []api.Job
	err := n.Run(t.Context(), req, func(j api.Job) error {
		if j.State.Final() {
			out = append(out, j)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestJobsRunEverywhereAndArePaid(t *testing.T) {
	nodes := startMesh(t, 3)
	data := []byte("the quick brown fox")
	obj := put(t, nodes[1], "fox.txt", data, api.Policy{})
	var gas uint64
	var link api.Link
	for i, n := range nodes {
		jobs := runAll(t, nodes[1], api.RunRequest{
			Module: "compute", Unit: "hash", Method: "blake3", Inputs: []api.RunInput{{Link: obj.Link}}, Node: n.member.Name,
		})
		if len(jobs) != 1 || jobs[0].State != api.JobDone || jobs[0].Result.Worker != n.id.ID() {
			t.Fatalf("on n%d: %+v", i, jobs)
		}
		r := jobs[0].Result
		if i > 0 && (r.Gas != gas || r.Output != link) {
			t.Errorf("n%d used %d gas and made %s; before it was %d and %s", i, r.Gas, r.Output, gas, link)
		}
		gas, link = r.Gas, r.Output
		if (jobs[0].Price > 0) == (n == nodes[1]) {
			t.Errorf("the job on n%d cost %s", i, jobs[0].Price)
		}
	}
	out, err := get(t.Context(), nodes[2], link, "")
	if err != nil || len(out) == 0 {
		t.Errorf("output %q, %v", out, err)
	}
	waitFor(t, "escrows to close", func() bool {
		rep, err := nodes[0].Credits(t.Context(), api.CreditsFilter{})
		if err != nil || rep.Total != GenesisSupply {
			t.Fatalf("total %s, %v", rep.Total, err)
		}
		for _, b := range rep.Balances {
			if b.Account.Kind == api.EscrowAccount && b.Amount != 0 {
				return false
			}
		}
		return true
	})
}
