//go:build !js

package node

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/syscall"
	"inos/kernel/wire"
)

func rules(t testing.TB, texts ...string) SyscallConfig {
	t.Helper()
	var c SyscallConfig
	for _, text := range texts {
		r, err := syscall.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		c.Policy.Rules = append(c.Policy.Rules, r)
	}
	return c
}

// output runs one job and returns what it wrote.
func output(t testing.TB, n *Node, req api.RunRequest) string {
	t.Helper()
	jobs := runAll(t, n, req)
	if len(jobs) != 1 || jobs[0].State != api.JobDone {
		t.Fatalf("%s.%s: %+v", req.Unit, req.Method, jobs)
	}
	if jobs[0].Result.Output.IsZero() {
		return ""
	}
	b, err := get(t.Context(), n, jobs[0].Result.Output, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func ask(method, params string, inputs ...api.Object) api.RunRequest {
	req := api.RunRequest{Module: "syscalls", Unit: "call", Method: method, Params: json.RawMessage(params)}
	for _, o := range inputs {
		req.Inputs = append(req.Inputs, api.RunInput{Link: o.Link})
	}
	return req
}

func counts(n *Node, name string) syscall.Counts {
	for _, m := range n.SyscallCounts() {
		if m.Name == "syscalls" {
			return m.Syscalls[name]
		}
	}
	return syscall.Counts{}
}

func notes(t testing.TB, n *Node) string {
	t.Helper()
	d, _, err := n.modules.find(t.Context(), "syscalls")
	if err != nil {
		t.Fatal(err)
	}
	a, err := n.syscalls.services["kv"].serve(t.Context(), &syscall.Caller{Module: d, Owner: n.id.ID()}, "get", "notes", nil)
	if err != nil && api.KindOf(err) != api.NotFound {
		t.Fatal(err)
	}
	return string(a.Data)
}

// A real guest's requests, each refused for its reason, seen by the guest and
// counted; nothing is done.
func TestSyscallsAreRefused(t *testing.T) {
	kv := `{"service":"kv","operation":"put","key":"k"}`
	for _, tt := range []struct {
		name, rule, method, params string
		sees                       string
		counter                    string
		why                        syscall.Reason
	}{
		{"spoofed source", "", "spoof", `{}`, "refused: denied: the request names another module", "hostCall:kv", syscall.Spoofed},
		{"denied", "syscalls deny=hostCall:kv", "host", kv, "refused: denied: this node does not let", "hostCall:kv", syscall.Forbidden},
		{"budget", "syscalls budget=0", "host", kv, "refused: unfunded: ", "hostCall:kv", syscall.OverSpent},
		{"unlisted service", "", "host", `{"service":"gpu","operation":"run","key":"k"}`, "refused: denied: the module's manifest", "hostCall:gpu", syscall.Unlisted},
		{"a link nobody named", "", "fetch", `{"split":["inos:b","` + strings.TrimPrefix(api.Link{Root: api.Address{1}}.String(), "inos:b") + `"]}`, "refused: denied: the job names no such link", "fetchChunk", syscall.Ungranted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{Dir: t.TempDir(), Name: "alone"}
			if tt.rule != "" {
				cfg.Syscalls = rules(t, tt.rule)
			}
			n := start(t, cfg)
			if got := output(t, n, ask(tt.method, tt.params)); !strings.HasPrefix(got, tt.sees) {
				t.Errorf("the guest sees %q", got)
			}
			if c := counts(n, tt.counter); c.Refused[tt.why] != 1 || c.Served != 0 || c.Failed != 0 {
				t.Errorf("counted %+v", n.SyscallCounts())
			}
		})
	}
}

func TestSyscallRateAndServices(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone", Syscalls: rules(t, "syscalls rate=0.001 burst=2")})
	value := put(t, n, "v", []byte("a value"), api.Policy{})
	if got := output(t, n, ask("host", `{"service":"kv","operation":"put","key":"k"}`, value)); got != "" {
		t.Errorf("put answers %q", got)
	}
	if got := output(t, n, ask("host", `{"service":"kv","operation":"get","key":"k"}`)); got != "a value" {
		t.Errorf("got %q back", got)
	}
	if got := output(t, n, ask("host", `{"service":"kv","operation":"get","key":"k","deadline_ms":1}`)); !strings.HasPrefix(got, "refused: exhausted: the module makes more") {
		t.Errorf("above the rate the guest sees %q", got)
	}
	if c := counts(n, "hostCall:kv"); c.Served != 2 || c.Refused[syscall.TooFast] != 1 {
		t.Errorf("counted %+v", c)
	}
}

func TestServiceThatIsOff(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone"})
	if got := output(t, n, ask("host", `{"service":"http","operation":"get","key":"https://example.org/"}`)); !strings.HasPrefix(got, "refused: unsupported: this node has no service http") {
		t.Errorf("the guest sees %q", got)
	}
}

// A job on another node fetches ranges and stores objects that its payer owns:
// the link is the same wherever it runs.
func TestChunksOfAJob(t *testing.T) {
	nodes := startMesh(t, 2)
	payer, worker := nodes[0], nodes[1]
	data := randomBytes(3, 3*api.ChunkSize+99)
	obj := put(t, payer, "big.bin", data, api.Policy{})
	run := func(n, at *Node, method, params string, inputs ...api.Object) string {
		t.Helper()
		req := ask(method, params, inputs...)
		req.Module, req.Unit, req.Node = "diagnostics", "chunk", at.member.Name
		return output(t, n, req)
	}
	if got := run(payer, worker, "fetch", `{"offset":1048570,"length":20}`, obj); got != string(data[1048570:1048590]) {
		t.Errorf("a range of the input: %d bytes", len(got))
	}
	part := fmt.Sprintf(`{"link":%q,"offset":%d}`, obj.Link, 3*api.ChunkSize)
	if got := run(payer, worker, "fetch", part); got != string(data[3*api.ChunkSize:]) {
		t.Errorf("the end of a link: %d bytes", len(got))
	}
	small := put(t, payer, "small", []byte("some bytes"), api.Policy{})
	link := run(payer, worker, "store", `{"name":"kept.txt"}`, small)
	stored, err := api.ParseLink(link)
	if err != nil {
		t.Fatal(err)
	}
	mustGet(t, payer, stored, []byte("some bytes"))
	own, err := payer.object(stored.Root)
	if err != nil || own.Name != "kept.txt" || own.Bytes != 10 {
		t.Errorf("the payer lists %+v, %v", own, err)
	}
	if _, err := worker.object(stored.Root); api.KindOf(err) != api.NotFound {
		t.Errorf("the worker lists it too: %v", err)
	}
	if here := run(payer, payer, "store", `{"name":"kept.txt"}`, small); here != link {
		t.Errorf("stored here it is %s, there %s", here, link)
	}
	public, err := api.ParseLink(run(payer, worker, "store", `{"name":"open.txt","public":true}`, small))
	if err != nil || !public.Public() {
		t.Errorf("a public object: %v, %v", public, err)
	}
}

// A job on another node stores a block that its payer owns: the bytes as they are,
// under their BLAKE3, found by that address from any node that a job names it on.
func TestBlocksOfAJob(t *testing.T) {
	nodes := startMesh(t, 2)
	payer, worker := nodes[0], nodes[1]
	run := func(n, at *Node, module, method, params string, inputs ...api.Object) string {
		t.Helper()
		req := ask(method, params, inputs...)
		if req.Node = at.member.Name; module == "diagnostics" {
			req.Module, req.Unit = module, "chunk"
		}
		return output(t, n, req)
	}
	data := randomBytes(5, 100_000)
	raw := put(t, payer, "raw", data, api.Policy{})
	hex := run(payer, worker, "diagnostics", "store", `{"name":"part.bin","block":true}`, raw)
	addr := api.Address(blake3.Sum256(data))
	if want := fmt.Sprintf("%x", addr[:]); hex != want {
		t.Fatalf("the block's address is %s, want %s", hex, want)
	}
	for _, n := range nodes {
		b, err := n.store.Get(t.Context(), addr, nil)
		if err != nil || !bytes.Equal(b, data) {
			t.Errorf("%s keeps %d bytes, %v", n.member.Name, len(b), err)
		}
	}
	own, err := payer.object(addr)
	if err != nil || own.Name != "part.bin" || own.Bytes != uint64(len(data)) || own.MimeType != blockMedia || own.Acks != 2 {
		t.Errorf("the payer lists %+v, %v", own, err)
	}
	mustGet(t, payer, own.Link, data)
	if h, err := payer.Holders(t.Context(), own.Link); err != nil || h.Blocks != 1 || h.Copies != 2 {
		t.Errorf("holders: %+v, %v", h, err)
	}
	byAddress := fmt.Sprintf(`{"address":%q,"offset":99990,"length":20}`, addr)
	for _, at := range nodes {
		if got := run(payer, at, "diagnostics", "fetch", byAddress); got != string(data[99990:]) {
			t.Errorf("%s reads %d bytes of the block", at.member.Name, len(got))
		}
	}
	if got := run(payer, worker, "syscalls", "fetch", fmt.Sprintf(`{"address":%q,"room":7}`, addr)); got != string(data[:7]) {
		t.Errorf("into memory of its own it reads %x", got)
	}
	d, _, err := worker.modules.find(t.Context(), "diagnostics")
	if err != nil {
		t.Fatal(err)
	}
	asked := worker.worker.supervisors.report(t.Context(), d.Hash).Payers
	if len(asked) != 1 || asked[0].Name != payer.member.Name || asked[0].Served != 2 || asked[0].Spent <= 0 || asked[0].Left > syscall.DefaultBudget/2 { // it fills again
		t.Errorf("the worker says who had the module ask: %+v", asked)
	}
	if err := payer.Remove(t.Context(), own.Link); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the block to go", func() bool {
		_, err := worker.store.Get(t.Context(), addr, nil)
		return api.KindOf(err) == api.NotFound
	})
	large := put(t, payer, "large", randomBytes(6, api.MaxBlock+1), api.Policy{})
	if got := run(payer, worker, "syscalls", "store", `{"name":"x","block":true}`, large); !strings.HasPrefix(got, "refused: invalid: a block has 1 to 1,048,592 bytes") {
		t.Errorf("a block that is too large: %q", got)
	}
}

// What a worker says it stored is believed of its own running jobs alone.
func TestStoredObjectsOfNoJob(t *testing.T) {
	nodes := startMesh(t, 2)
	b, err := wire.EncodeResult(api.JobResult{ID: api.ID{1}, Worker: nodes[1].id.ID(), Message: "x", Output: api.Link{Root: api.Address{2}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[1].net.Call(t.Context(), nodes[0].id.ID(), methodStored, b); api.KindOf(err) != api.Denied {
		t.Errorf("got %v", err)
	}
}

func TestThreads(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone", Workers: 1})
	seen := put(t, n, "seen", []byte("seen by a thread\n"), api.Policy{})
	output(t, n, ask("host", `{"service":"kv","operation":"put","key":"seen"}`, seen))
	if got := output(t, n, ask("spawn", `{"threads":3,"method":"host","params":"{\"service\":\"kv\",\"operation\":\"get\",\"key\":\"seen\"}"}`, seen)); got != strings.Repeat("seen by a thread\n", 3) {
		t.Errorf("three threads wrote %q", got)
	}
	d, _, err := n.modules.find(t.Context(), "syscalls")
	if err != nil {
		t.Fatal(err)
	}
	if r := n.worker.supervisors.report(t.Context(), d.Hash); r.Calls != 5 || r.Queued+r.Running != 0 {
		t.Errorf("the supervisor saw %d calls of two with three threads, %d waiting, %d running", r.Calls, r.Queued, r.Running)
	}
	if got := output(t, n, ask("spawn", `{"threads":2,"method":"spin","then":"kill"}`, seen)); got != "killed\nkilled\n" {
		t.Errorf("killed threads: %q", got)
	}
	began := time.Now()
	if got := output(t, n, ask("spawn", `{"threads":2,"method":"spin","then":"leave"}`, seen)); got != "" {
		t.Errorf("threads left behind: %q", got)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("a call with threads left behind took %v", took)
	}
	if !n.syscalls.threads.TryAcquire(maxThreads) {
		t.Error("threads run after their call")
	}
	n.syscalls.threads.Release(maxThreads)
	if got := output(t, n, ask("spawn", `{"threads":20,"method":"spin","then":"kill","gas":1000000}`, seen)); !strings.HasPrefix(got, "refused: exhausted: 16 threads") {
		t.Errorf("20 threads: %q", got)
	}
	if got := output(t, n, ask("spawn", `{"threads":1,"method":"spawn","params":"{\"threads\":1,\"method\":\"spin\"}"}`)); !strings.HasPrefix(got, "refused: exhausted: a thread starts no threads") {
		t.Errorf("a thread of a thread: %q", got)
	}
}

// A module's messages arrive at another node's module once each and in order,
// though the connection drops again and again, and each receipt is its node's.
func TestMessagesArriveOnceAndInOrder(t *testing.T) {
	const count = 40
	dir := t.TempDir()
	a := start(t, Config{Dir: filepath.Join(dir, "a"), Name: "a"})
	b := join(t, a, Config{Dir: filepath.Join(dir, "b"), Name: "b", Syscalls: rules(t, "syscalls receive=yes rate=10000")})
	waitOnline(t, a, b)
	text := put(t, a, "text", []byte("m"), api.Policy{})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // drops the connection after every third message, as soon as it is in the mailbox
		defer close(stopped)
		for next := uint64(3); ; {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			if accepted(b) >= next {
				_ = a.net.Disconnect(b.id.ID())
				next = accepted(b) + 3
			}
		}
	}()
	req := ask("send", fmt.Sprintf(`{"node":%q,"module":"syscalls","count":%d}`, b.id.ID(), count), text)
	req.Node = "a"
	lines := strings.Split(strings.TrimSpace(output(t, a, req)), "\n")
	close(stop)
	<-stopped
	if len(lines) != count {
		t.Fatalf("%d lines for %d messages: %q", len(lines), count, lines)
	}
	last := uint64(0)
	for _, line := range lines {
		var sequence uint64
		var receipt []byte
		if _, err := fmt.Sscanf(line, "%d %x", &sequence, &receipt); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		r, err := wire.DecodeMessageReceipt(receipt)
		to := b.id.ID()
		if err != nil || r.ToNode != to || r.FromNode != a.id.ID() || r.Sequence != sequence || sequence <= last || !ed25519.Verify(to[:], wire.ReceiptSigning(r), r.Sig[:]) {
			t.Fatalf("the receipt %+v of message %d after %d: %v", r, sequence, last, err)
		}
		last = sequence
	}
	waitFor(t, "every message", func() bool { return strings.Count(notes(t, b), "\n") >= count })
	for i, line := range strings.Split(strings.TrimSpace(notes(t, b)), "\n") {
		if f := strings.Fields(line); len(f) != 4 || f[0] != a.id.ID().String() || f[3] != fmt.Sprint("m", i) {
			t.Fatalf("note %d is %q", i, line)
		}
	}
	d, _, _ := a.modules.find(t.Context(), "syscalls")
	replay(t, a, b, wire.ModuleMessage{From: d.Hash, Module: "syscalls", Sequence: last, Data: []byte(fmt.Sprint("m", count-1))}, count)
}

// accepted counts the messages that ever lay in the node's mailboxes.
func accepted(n *Node) (sum uint64) {
	m := n.syscalls.messages
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.boxes {
		b.mu.Lock()
		sum += b.order
		b.mu.Unlock()
	}
	return sum
}

// replay delivers a message a second time, and an older one: neither arrives.
func replay(t *testing.T, a, b *Node, msg wire.ModuleMessage, count int) {
	t.Helper()
	send := func(m wire.ModuleMessage) wire.MessageReply {
		q, err := wire.EncodeModuleMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		waitFor(t, "a connection", func() bool {
			out, err = a.net.Call(t.Context(), b.id.ID(), methodMessage, q)
			return api.KindOf(err) != api.Unavailable
		})
		if err != nil {
			t.Fatal(err)
		}
		reply, err := wire.DecodeMessageReply(out)
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	if r := send(msg); r.Receipt == nil || r.Receipt.Sequence != msg.Sequence {
		t.Errorf("the last message again: %+v", r)
	}
	old := msg
	old.Sequence--
	if r := send(old); r.Receipt != nil || r.Behind != msg.Sequence {
		t.Errorf("an older message: %+v", r)
	}
	other := msg
	other.Data = []byte("forged")
	if r := send(other); r.Receipt != nil || r.Behind != msg.Sequence {
		t.Errorf("another message with the last sequence: %+v", r)
	}
	msg.Sequence++
	msg.Data = []byte("end")
	if r := send(msg); r.Receipt == nil {
		t.Errorf("the next message: %+v", r)
	}
	waitFor(t, "the last message", func() bool { return strings.HasSuffix(notes(t, b), " end\n") })
	if n := strings.Count(notes(t, b), "\n"); n != count+1 {
		t.Errorf("%d notes of %d messages", n, count+1)
	}
}

// Without the owner's word no module takes messages.
func TestMessagesNeedTheOwnersWord(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone", Syscalls: rules(t, "other receive=yes")})
	text := put(t, n, "text", []byte("m"), api.Policy{})
	for _, to := range []string{"syscalls", "compute"} {
		if got := output(t, n, ask("send", `{"module":"`+to+`"}`, text)); !strings.HasPrefix(got, "refused: denied: the module "+to+" takes no messages on this node") {
			t.Errorf("the guest sees %q", got)
		}
	}
	if got := output(t, n, ask("send", `{"module":"nobody"}`, text)); !strings.HasPrefix(got, "refused: not-found") {
		t.Errorf("the guest sees %q", got)
	}
}

// A full mailbox pushes back; what it holds survives a restart, and is delivered
// then, once.
func TestMailboxIsBoundedAndDurable(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Name: "alone", Syscalls: rules(t, "syscalls receive=yes rate=10000")}
	n := start(t, cfg)
	m := n.syscalls.messages
	box, err := m.box(t.Context(), "syscalls")
	if err != nil {
		t.Fatal(err)
	}
	box.mu.Lock()
	box.pumping = true // as while a message is being delivered
	box.mu.Unlock()
	from := api.Hash{7}
	for i := range maxLetters {
		if _, err := m.send(t.Context(), from, api.NodeID{}, "syscalls", []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := m.send(t.Context(), from, api.NodeID{}, "syscalls", nil); api.KindOf(err) != api.Exhausted {
		t.Errorf("message %d: %v", maxLetters+1, err)
	}
	box.mu.Lock()
	last := box.last[peer{n.id.ID(), from}]
	box.mu.Unlock()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n = start(t, cfg)
	waitFor(t, "the messages of before", func() bool { return strings.Count(notes(t, n), "\n") >= maxLetters })
	for i, line := range strings.Split(strings.TrimSpace(notes(t, n)), "\n") {
		if f := strings.Fields(line); len(f) != 4 || f[1] != from.String() || f[3] != fmt.Sprint(i) {
			t.Fatalf("note %d is %q", i, line)
		}
	}
	reply, err := n.syscalls.messages.accept(t.Context(), n.id.ID(), wire.ModuleMessage{From: from, Module: "syscalls", Sequence: last.Sequence, Data: []byte(fmt.Sprint(maxLetters - 1))})
	if err != nil || reply.Receipt == nil || *reply.Receipt != last {
		t.Errorf("the last message again: %+v, %v", reply, err)
	}
}

// A process whose clock began behind an earlier one's goes on after it.
func TestSequencesGoOnWhenTheClockWentBack(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone", Syscalls: rules(t, "syscalls receive=yes")})
	ahead := uint64(time.Now().Add(time.Hour).UnixMicro())
	if _, err := n.syscalls.messages.accept(t.Context(), n.id.ID(), wire.ModuleMessage{From: api.Hash{7}, Module: "syscalls", Sequence: ahead}); err != nil {
		t.Fatal(err)
	}
	r, err := n.syscalls.messages.send(t.Context(), api.Hash{7}, api.NodeID{}, "syscalls", []byte("later"))
	if err != nil || r.Sequence != ahead+1 {
		t.Errorf("%d after %d, %v", r.Sequence, ahead, err)
	}
}

// A module that promises determinism and would send messages is not loaded.
func TestDeterministicSenderIsRefusedAtLoad(t *testing.T) {
	out := remade(t, func(m *module.Manifest) { m.Deterministic = true })
	n := start(t, Config{Dir: t.TempDir(), Name: "alone"})
	if _, err := n.ModuleAdd(t.Context(), bytes.NewReader(out)); api.KindOf(err) != api.Invalid || !strings.Contains(err.Error(), "deterministic module may call fetchChunk and storeChunk only") {
		t.Errorf("got %v", err)
	}
}

func TestKVIsBoundedAndApart(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "alone"})
	d, _, err := n.modules.find(t.Context(), "syscalls")
	if err != nil {
		t.Fatal(err)
	}
	kv := n.syscalls.services["kv"].(*kvStore)
	serve := func(owner byte, op, key string, data []byte) (string, error) {
		a, err := kv.serve(t.Context(), &syscall.Caller{Module: d, Owner: api.NodeID{owner}}, op, key, data)
		return string(a.Data), err
	}
	big := make([]byte, maxKVValue)
	for i := range maxKVBytes/maxKVValue - 1 {
		if _, err := serve(1, "put", fmt.Sprintf("k%02d", i), big); err != nil {
			t.Fatal(i, err)
		}
	}
	for name, err := range map[string]error{
		"full":  second(serve(1, "put", "last", big)),
		"value": second(serve(1, "put", "v", append(big, 0))),
		"key":   second(serve(1, "put", "a\nb", nil)),
		"get":   second(serve(1, "get", "none", nil)),
		"op":    second(serve(1, "rename", "k00", nil)),
		"other": second(serve(2, "get", "k00", nil)),
	} {
		want := map[string]api.Kind{"full": api.Exhausted, "value": api.Invalid, "key": api.Invalid, "get": api.NotFound, "op": api.Unsupported, "other": api.NotFound}[name]
		if api.KindOf(err) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if _, err := serve(1, "put", "k00", []byte("small")); err != nil {
		t.Error(err)
	}
	if _, err := serve(1, "delete", "k01", nil); err != nil {
		t.Error(err)
	}
	if keys, err := serve(1, "list", "k0", nil); err != nil || keys != "k00\nk02\nk03\nk04\nk05\nk06\nk07\nk08\nk09\n" {
		t.Errorf("%q, %v", keys, err)
	}
	again, err := openKV(n)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.spaces) != 1 || fmt.Sprint(again.spaces) != fmt.Sprint(kv.spaces) {
		t.Errorf("counted again: %v, kept: %v", len(again.spaces), len(kv.spaces))
	}
}

func second(_ string, err error) error { return err }
