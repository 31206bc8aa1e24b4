//go:build !js

package node

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/module"
)

func signedProbe(t *testing.T, author byte, version string) []byte {
	t.Helper()
	b, err := module.Sign(identity.NewFromSeed([32]byte{author}), probeVersion(t, version))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func addModule(t *testing.T, n *Node, wasm []byte) api.ModuleInfo {
	t.Helper()
	m, err := n.ModuleAdd(t.Context(), bytes.NewReader(wasm))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The first author to use a name has it on every node; another author's module
// of that name is reached with the author beside it.
func TestNamesOfModules(t *testing.T) {
	nodes := startMesh(t, 2)
	root, other := nodes[0], nodes[1]
	first := addModule(t, other, signedProbe(t, 1, "1.0.0"))
	for _, n := range nodes {
		waitFor(t, "the name", func() bool {
			n.modules.mu.Lock()
			defer n.modules.mu.Unlock()
			return n.modules.names["probe"].Author == first.Author
		})
	}
	second := addModule(t, root, signedProbe(t, 2, "2.0.0"))
	if want := "probe@2.0.0:" + second.Author.Short(); second.Ref != want {
		t.Errorf("the second author's module is called %s, want %s", second.Ref, want)
	}
	newer := addModule(t, other, signedProbe(t, 1, "1.1.0-rc.1"))
	for _, n := range nodes {
		waitFor(t, "all records", func() bool {
			list, err := n.Modules(t.Context())
			return err == nil && strings.Count(refs(list), "probe@") == 3
		})
		for ref, want := range map[string]api.Hash{
			"probe": newer.Hash, "probe@1.0.0": first.Hash, second.Ref: second.Hash, "probe:" + second.Author.String(): second.Hash,
			first.Hash.String()[:10]: first.Hash,
		} {
			if m, err := n.Module(t.Context(), ref); err != nil || m.Hash != want {
				t.Errorf("%s: %s is %s, %v; want %s", n.member.Name, ref, m.Hash.Short(), err, want.Short())
			}
		}
		if _, err := n.Module(t.Context(), "probe@2.0.0"); !errors.Is(err, api.NotFound) || !strings.Contains(err.Error(), second.Author.Short()) {
			t.Errorf("%s: another author's version under the plain name: %v", n.member.Name, err)
		}
	}
	for ref, want := range map[string]string{
		"probe@9.0.0":   "the module probe has no version 9.0.0; there is ",
		"compute@9.0.0": "the module compute has no version 9.0.0; inos module ls",
		"parrot@1.0.0":  "no module is called \"parrot\"",
	} {
		if _, err := root.Module(t.Context(), ref); !errors.Is(err, api.NotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	job := runAll(t, root, api.RunRequest{Module: second.Ref, Unit: "test", Method: "work", Node: "n1"})[0]
	if job.State != api.JobDone || job.Spec.Module != second.Hash {
		t.Errorf("run by name and author on another node: %+v", job)
	}
	changed := append(bytes.Clone(probe(t)), 0, 5, 4, 'n', 'o', 't', 'e')
	changed, err := module.Sign(identity.NewFromSeed([32]byte{1}), changed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.ModuleAdd(t.Context(), bytes.NewReader(changed)); !errors.Is(err, api.Exists) {
		t.Errorf("a version published twice: %v", err)
	}
}

func refs(list []api.ModuleInfo) string {
	var b strings.Builder
	for _, m := range list {
		b.WriteString(m.Ref + " ")
	}
	return b.String()
}

// An author withdraws a module everywhere; anybody else forgets it here alone.
func TestWithdrawnModules(t *testing.T) {
	dir := t.TempDir()
	root := start(t, Config{Dir: filepath.Join(dir, "n0"), Name: "n0"})
	cfg := Config{Dir: filepath.Join(dir, "n1"), Name: "n1"}
	other := join(t, root, cfg)
	waitOnline(t, root, other)
	m := addModule(t, root, signedProbe(t, 1, "1.0.0"))
	known := func(n *Node) bool {
		_, err := n.Module(t.Context(), "probe")
		return err == nil
	}
	waitFor(t, "the module on the other node", func() bool { return known(other) })

	if err := other.ModuleRemove(t.Context(), "probe", [64]byte{1}); !errors.Is(err, api.Unverified) {
		t.Errorf("withdrawn by nobody: %v", err)
	}
	if err := other.ModuleRemove(t.Context(), "probe", [64]byte{}); err != nil {
		t.Fatal(err)
	}
	records, names := root.modules.news()
	other.modules.learn(records, names)
	if known(other) || !known(root) {
		t.Error("a module removed on one node: it is back there, or gone elsewhere")
	}
	addModule(t, other, signedProbe(t, 1, "1.0.0"))
	if !known(other) {
		t.Error("a module added again is not there")
	}

	if err := root.ModuleRemove(t.Context(), m.Hash.String(), module.SignWithdrawal(identity.NewFromSeed([32]byte{1}), m.Content)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the withdrawal on the other node", func() bool { return !known(other) })
	if _, err := other.ModuleAdd(t.Context(), bytes.NewReader(signedProbe(t, 1, "1.0.0"))); !errors.Is(err, api.Conflict) {
		t.Errorf("a withdrawn module is added again: %v", err)
	}
	_ = other.Close()
	other = start(t, cfg)
	if _, err := other.Module(t.Context(), "probe"); !errors.Is(err, api.NotFound) || !strings.Contains(err.Error(), "withdrawn") {
		t.Errorf("after a restart: %v", err)
	}
	other.modules.mu.Lock()
	defer other.modules.mu.Unlock()
	if got := other.modules.names["probe"].Author; got != m.Author {
		t.Errorf("after a restart the name is %s's", got.Short())
	}
}
