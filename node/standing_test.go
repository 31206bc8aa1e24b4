//go:build !js

package node

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"inos/kernel/api"
)

// warnings collects what a node tells its owner.
type warnings struct {
	mu   sync.Mutex
	text []string // guarded by mu
}

func (w *warnings) add(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, fmt.Sprintf(format, args...))
}

func (w *warnings) has(part string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(strings.Join(w.text, "\n"), part)
}

func meshCheck(t *testing.T, n *Node) api.Check {
	t.Helper()
	checks, err := n.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.Name == "mesh" {
			return c
		}
	}
	t.Fatal("no check is called mesh")
	return api.Check{}
}

// A node that is revoked while it runs hears it, says so, and does not start
// again; the others mark it and count it no more.
func TestRevokedNodeSaysSo(t *testing.T) {
	dir := t.TempDir()
	seed := start(t, Config{Dir: filepath.Join(dir, "seed"), Name: "seed"})
	var warned warnings
	b := join(t, seed, Config{Dir: filepath.Join(dir, "b"), Name: "b", Warn: warned.add})
	c := join(t, seed, Config{Dir: filepath.Join(dir, "c"), Name: "c"})
	waitOnline(t, seed, b, c)
	if st, err := b.Status(t.Context()); err != nil || st.Refused != "" {
		t.Fatal("a member is refused:", st.Refused, err)
	}
	if err := seed.Revoke(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the node to learn that it was revoked", func() bool {
		st, err := b.Status(t.Context())
		return err == nil && strings.Contains(st.Refused, "revoked the membership of this node (b)")
	})
	waitFor(t, "the owner to be told", func() bool { return warned.has("revoked the membership") })
	if ch := meshCheck(t, b); ch.State != api.CheckFail || !strings.Contains(ch.Fix, "inos join --dir") {
		t.Errorf("%+v", ch)
	}
	waitFor(t, "the seed to count one other member", func() bool { return meshCheck(t, seed).State == api.CheckOK })
	rows, err := seed.Peers(t.Context())
	if err != nil || len(rows) != 3 || !rows[2].Revoked || rows[2].Name != "b" || rows[1].Revoked {
		t.Errorf("%+v, %v", rows, err)
	}
	if st, _ := seed.Status(t.Context()); st.PeersKnown != 1 {
		t.Errorf("%d members are known besides the seed", st.PeersKnown)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), Config{Dir: b.cfg.Dir, Name: "b"})
	if api.KindOf(err) != api.Denied || !strings.Contains(err.Error(), "inos join --dir") {
		t.Errorf("a revoked node started: %v", err)
	}
}

// A node that was away when it was revoked finds out from whoever refuses it.
func TestRevokedWhileAway(t *testing.T) {
	dir := t.TempDir()
	seed := start(t, Config{Dir: filepath.Join(dir, "seed"), Name: "seed"})
	b := join(t, seed, Config{Dir: filepath.Join(dir, "b"), Name: "b"})
	waitOnline(t, seed, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := seed.Revoke(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	var warned warnings
	b = start(t, Config{Dir: b.cfg.Dir, Name: "b", Warn: warned.add})
	waitFor(t, "the refusal to show", func() bool {
		st, err := b.Status(t.Context())
		return err == nil && strings.HasPrefix(st.Refused, "seed refuses this node: ") && strings.Contains(st.Refused, "revoked")
	})
	if !warned.has("revoked") {
		t.Errorf("the owner was told %q", warned.text)
	}
	if ch := meshCheck(t, b); ch.State != api.CheckFail {
		t.Errorf("%+v", ch)
	}
}

// Joining another mesh is refused where members or data would be left behind,
// unless it is meant.
func TestJoinAsksBeforeItLeaves(t *testing.T) {
	dir := t.TempDir()
	other := start(t, Config{Dir: filepath.Join(dir, "other"), Name: "other"})
	founder := Config{Dir: filepath.Join(dir, "founder"), Name: "founder"}
	f := start(t, founder)
	m := join(t, f, Config{Dir: filepath.Join(dir, "m"), Name: "m"})
	waitOnline(t, f, m)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	inv := mustInvite(t, other)
	_, err := Join(t.Context(), founder, inv.Text)
	var ties *TiesError
	if !errors.As(err, &ties) || api.KindOf(err) != api.Exists {
		t.Fatalf("a founder left its members: %v", err)
	}
	if !ties.Ties.Founded || len(ties.Ties.Others) != 1 || ties.Ties.Others[0].Name != "m" || !strings.Contains(err.Error(), "1 other member (m)") {
		t.Errorf("%+v: %v", ties.Ties, err)
	}
	founder.LeaveMesh = true
	if _, err := Join(t.Context(), founder, inv.Text); err != nil {
		t.Fatal(err)
	}
	f = start(t, founder)
	waitOnline(t, f, other)
	if f.seed != nil {
		t.Error("it keeps the desk of the mesh that it left")
	}

	// A member is free to go until it has data; alone and empty, so is a founder.
	put(t, m, "f", []byte("data"), api.Policy{})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = Join(t.Context(), Config{Dir: m.cfg.Dir, Name: "m"}, mustInvite(t, other).Text)
	if !errors.As(err, &ties) || ties.Ties.Objects != 1 || ties.Ties.Founded {
		t.Errorf("%v", err)
	}
	alone := start(t, Config{Dir: filepath.Join(dir, "alone"), Name: "alone"})
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), Config{Dir: alone.cfg.Dir, Name: "alone"}, mustInvite(t, other).Text); err != nil {
		t.Error(err)
	}
}

// Outputs of jobs are told from what was put, counted over all pages, and found
// by name like everything else.
func TestListTellsOutputs(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone"})
	var inputs []api.RunInput
	for i := range 5 {
		obj := put(t, n, fmt.Sprintf("f%d.txt", i), bytes.Repeat([]byte{byte(i)}, 10), api.Policy{})
		inputs = append(inputs, api.RunInput{Link: obj.Link})
	}
	runAll(t, n, api.RunRequest{Module: "compute", Unit: "hash", Method: "blake3", Inputs: inputs})
	last := put(t, n, "last.txt", []byte("last"), api.Policy{})
	for _, tc := range []struct {
		filter  api.OutputFilter
		find    string
		objects int
		hidden  uint64
	}{
		{api.WithOutputs, "", 11, 0},
		{api.WithoutOutputs, "", 6, 5},
		{api.OnlyOutputs, "", 5, 0},
		{api.WithOutputs, "last.txt", 1, 0},
		{api.WithOutputs, last.Link.Root.String(), 1, 0},
		{api.WithoutOutputs, "f2.blake3.json", 0, 5},
		{api.WithOutputs, "f2.blake3.json", 1, 0},
	} {
		for _, limit := range []int{1, 2, 100} {
			seen, hidden, req := 0, uint64(0), api.ListRequest{Limit: limit, Outputs: tc.filter, Find: tc.find}
			for {
				page, err := n.List(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range page.Objects {
					output := o.Method == "compute/hash.blake3"
					if output && tc.filter == api.WithoutOutputs || !output && tc.filter == api.OnlyOutputs {
						t.Errorf("%+v: listed %s", tc, o.Name)
					}
				}
				seen, hidden = seen+len(page.Objects), hidden+page.Hidden
				if req.After = page.Next; req.After == "" {
					break
				}
			}
			if seen != tc.objects || hidden != tc.hidden {
				t.Errorf("%+v, %d a page: %d objects and %d hidden", tc, limit, seen, hidden)
			}
		}
	}
}
