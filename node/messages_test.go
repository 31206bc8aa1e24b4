//go:build !js

package node

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/module/supervise"
	"inos/kernel/syscall"
	"inos/kernel/wire"
	"inos/modules"
)

// held is the mailbox of the module syscalls, which delivers nothing until
// letters is called.
func held(t testing.TB, n *Node) *mailbox {
	t.Helper()
	box, err := n.syscalls.messages.box(t.Context(), "syscalls")
	if err != nil {
		t.Fatal(err)
	}
	box.mu.Lock()
	box.pumping = true // as while a message is being delivered
	box.mu.Unlock()
	return box
}

func deliverAgain(b *mailbox) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pumping = false
	b.pump()
}

func receiver(t testing.TB) *Node {
	t.Helper()
	return start(t, Config{Dir: t.TempDir(), Name: "alone", Syscalls: rules(t, "syscalls receive=yes rate=10000")})
}

// A guest's memory is another call's as soon as its call is over: what waits in
// a mailbox is a copy.
func TestLettersDoNotLieInTheSendersMemory(t *testing.T) {
	n := receiver(t)
	box := held(t, n)
	memory := []byte("of the sender")
	if _, err := n.syscalls.messages.send(t.Context(), api.Hash{7}, api.NodeID{}, "syscalls", memory); err != nil {
		t.Fatal(err)
	}
	copy(memory, "of a stranger")
	deliverAgain(box)
	waitFor(t, "the message", func() bool { return notes(t, n) != "" })
	if got := notes(t, n); !strings.HasSuffix(got, " of the sender\n") {
		t.Errorf("delivered %q", got)
	}
}

// What waits for a module is not handed over when its owner has forbidden it since.
func TestLettersNeedTheOwnersWordStill(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Name: "alone", Syscalls: rules(t, "syscalls receive=yes")}
	n := start(t, cfg)
	held(t, n)
	if _, err := n.syscalls.messages.send(t.Context(), api.Hash{7}, api.NodeID{}, "syscalls", []byte("late")); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Syscalls = SyscallConfig{}
	n = start(t, cfg)
	waitFor(t, "the mailbox to be empty", func() bool { return n.metrics.messagesFailed.Load() == 1 })
	if got := notes(t, n); got != "" {
		t.Errorf("delivered %q", got)
	}
}

// A node whose messages crash the module waits alone.
func TestLettersOfOneNodeDoNotHoldUpOthers(t *testing.T) {
	n := receiver(t)
	strict(t, n, supervise.Config{BackoffFirst: 3_600_000, BackoffMost: 3_600_000, PayerFree: 1})
	box := held(t, n)
	bad := api.NodeID{6}
	v, err := n.worker.supervisors.arrive(box.module, bad, api.Hash{1})
	if err == nil {
		err = v.begin()
	}
	if err != nil {
		t.Fatal(err)
	}
	v.note(1, module.CallDefect(api.Errorf("test", api.Trapped, "its message crashed the module")))
	v.ended()
	for i := range 3 {
		if _, err := box.accept(bad, wire.ModuleMessage{From: api.Hash{7}, Module: "syscalls", Sequence: uint64(i + 1), Data: []byte("bad")}); err != nil {
			t.Fatal(err)
		}
		if _, err := n.syscalls.messages.send(t.Context(), api.Hash{7}, api.NodeID{}, "syscalls", []byte(fmt.Sprint("good", i))); err != nil {
			t.Fatal(err)
		}
	}
	deliverAgain(box)
	waitFor(t, "the messages of others", func() bool { return strings.Count(notes(t, n), "\n") == 3 })
	for i, line := range strings.Split(strings.TrimSpace(notes(t, n)), "\n") {
		if !strings.HasSuffix(line, fmt.Sprint(" good", i)) {
			t.Errorf("note %d is %q", i, line)
		}
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	if len(box.queue) != 3 || box.queue[0].Message.Sequence != 1 {
		t.Errorf("%d letters wait", len(box.queue))
	}
}

// Another node has a quarter of a mailbox, and so many senders; the rest is for
// others.
func TestOneNodeCannotFillAMailbox(t *testing.T) {
	n := receiver(t)
	box := held(t, n)
	from := func(node byte, module int, sequence uint64) error {
		_, err := box.accept(api.NodeID{node}, wire.ModuleMessage{From: api.Hash{1, byte(module), byte(module >> 8)}, Module: "syscalls", Sequence: sequence})
		return err
	}
	for i := range maxLetters / 4 {
		if err := from(6, 1, uint64(i+1)); err != nil {
			t.Fatal(i, err)
		}
	}
	for name, err := range map[string]error{"letters": from(6, 1, 1000), "sequence 0": from(7, 1, 0), "too far": from(7, 1, maxSequence+1)} {
		if k := api.KindOf(err); k != api.Exhausted && k != api.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	now := time.Now().UnixMilli()
	box.mu.Lock()
	for i := range maxPeersOf {
		box.last[peer{api.NodeID{8}, api.Hash{1, byte(i), byte(i >> 8)}}] = wire.MessageReceipt{Sequence: 5, AcceptedMS: now - int64(i)}
	}
	box.mu.Unlock()
	if err := from(8, maxPeersOf, 1); api.KindOf(err) != api.Exhausted {
		t.Errorf("one sender too many: %v", err)
	}
	if err := from(9, 1, 1); err != nil {
		t.Errorf("another node: %v", err)
	}
	oldest := peer{api.NodeID{8}, api.Hash{1, maxPeersOf - 1}}
	box.mu.Lock()
	box.last[oldest] = wire.MessageReceipt{Sequence: 5, AcceptedMS: now - 2*forgetAfter.Milliseconds()}
	box.mu.Unlock()
	if err := from(8, maxPeersOf, 1); err != nil {
		t.Errorf("in the place of one that is silent: %v", err)
	}
	box.mu.Lock()
	_, known := box.last[oldest]
	box.mu.Unlock()
	if known {
		t.Error("the silent sender has kept its place")
	}
}

// Ways to other nodes are forgotten, and sequences go on rising all the same.
func TestWaysAreForgotten(t *testing.T) {
	n := receiver(t)
	m := n.syscalls.messages
	first, err := m.send(t.Context(), api.Hash{7}, api.NodeID{}, "syscalls", []byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	for i := len(m.out); i < maxSenders; i++ {
		m.out[sender{api.Hash{9, byte(i), byte(i >> 8)}, api.NodeID{1}}] = &outgoing{users: 1}
	}
	m.mu.Unlock()
	if _, err := m.send(t.Context(), api.Hash{8}, api.NodeID{}, "syscalls", nil); err != nil { // in the place of the first
		t.Fatal(err)
	}
	if _, err := m.send(t.Context(), api.Hash{7}, api.NodeID{}, "syscalls", []byte("second")); err != nil { // in the place of that
		t.Fatal(err)
	}
	m.mu.Lock()
	ways := len(m.out)
	for _, w := range m.out {
		w.users++
	}
	m.mu.Unlock()
	if ways != maxSenders {
		t.Errorf("%d ways", ways)
	}
	if _, err := m.send(t.Context(), api.Hash{6}, api.NodeID{}, "syscalls", nil); api.KindOf(err) != api.Exhausted {
		t.Errorf("with all in use: %v", err)
	}
	waitFor(t, "the messages", func() bool { return strings.Count(notes(t, n), "\n") == 3 })
	if got := notes(t, n); !strings.Contains(got, " first\n") || !strings.HasSuffix(got, " second\n") || first.Sequence == 0 {
		t.Errorf("delivered %q", got)
	}
}

// remade is the module syscalls with another manifest.
func remade(t testing.TB, change func(*module.Manifest)) []byte {
	t.Helper()
	file, err := modules.Load("syscalls")
	if err != nil {
		t.Fatal(err)
	}
	sections, err := bin.Sections(file)
	if err != nil {
		t.Fatal(err)
	}
	out := append([]byte(nil), file[:8]...)
	for _, s := range sections {
		if s.ID != bin.Custom || s.Name != module.Section {
			out = bin.AppendSection(out, s.ID, s.Body)
			continue
		}
		m, err := wire.DecodeModuleManifest(s.Body)
		if err != nil {
			t.Fatal(err)
		}
		change(&m)
		b, err := wire.EncodeModuleManifest(m)
		if err != nil {
			t.Fatal(err)
		}
		out = bin.AppendSection(out, bin.Custom, append(bin.AppendName(nil, module.Section), b...))
	}
	return out
}

// A rule for a name is for the module that the name belongs to, not for any that
// calls itself so; and what a module kept goes with it.
func TestRulesAndValuesBelongToTheModule(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone", Syscalls: rules(t, "syscalls fetch=any receive=yes", "mine receive=yes")})
	may := func(file []byte) syscall.Rule {
		d, err := module.Parse(file)
		if err != nil {
			t.Fatal(err)
		}
		return n.syscalls.kernel.Rule(d)
	}
	own, err := modules.Load("syscalls")
	if err != nil {
		t.Fatal(err)
	}
	mine := remade(t, func(m *module.Manifest) { m.Name = "mine" })
	impostor := remade(t, func(m *module.Manifest) { m.Version = "9.0.0" })
	if r := may(own); !r.FetchAny || !r.Receive {
		t.Errorf("the module itself: %+v", r)
	}
	if r := may(impostor); r.FetchAny || r.Receive {
		t.Errorf("a module of the same name: %+v", r)
	}
	if r := may(mine); r.Receive {
		t.Errorf("a module that nobody added: %+v", r)
	}
	info, err := n.ModuleAdd(t.Context(), bytes.NewReader(mine))
	if err != nil {
		t.Fatal(err)
	}
	if r := may(mine); !r.Receive {
		t.Errorf("a module that was added here: %+v", r)
	}
	value := put(t, n, "v", []byte("a value"), api.Policy{})
	req := ask("host", `{"service":"kv","operation":"put","key":"k"}`, value)
	req.Module = "mine"
	output(t, n, req)
	box, err := n.syscalls.messages.box(t.Context(), "mine")
	if err != nil || len(n.syscalls.kv.spaces) != 1 {
		t.Fatalf("%d spaces, %v", len(n.syscalls.kv.spaces), err)
	}
	if err := n.ModuleRemove(t.Context(), "mine", [64]byte{}); err != nil {
		t.Fatal(err)
	}
	again, err := openKV(n)
	if err != nil || len(n.syscalls.kv.spaces)+len(again.spaces) != 0 {
		t.Errorf("%d spaces are left, %d on disk, %v", len(n.syscalls.kv.spaces), len(again.spaces), err)
	}
	if _, err := box.accept(n.id.ID(), wire.ModuleMessage{From: info.Hash, Sequence: 1}); api.KindOf(err) != api.NotFound {
		t.Errorf("a message for it: %v", err)
	}
}

// One owner's modules cannot take every space.
func TestKVSpacesAreShared(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone"})
	put := func(owner api.NodeID, hash byte) error {
		_, err := n.syscalls.kv.serve(t.Context(), &syscall.Caller{Module: &module.Description{Hash: api.Hash{hash}}, Owner: owner}, "put", "k", nil)
		return err
	}
	for i := range maxKVOwned {
		if err := put(api.NodeID{1}, byte(i)); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := put(api.NodeID{1}, maxKVOwned); api.KindOf(err) != api.Exhausted {
		t.Errorf("one too many: %v", err)
	}
	if err := put(api.NodeID{2}, maxKVOwned); err != nil {
		t.Errorf("another owner: %v", err)
	}
	for i := range maxKVOwned + 1 {
		if err := put(n.id.ID(), byte(i)); err != nil {
			t.Fatal(i, err)
		}
	}
}
