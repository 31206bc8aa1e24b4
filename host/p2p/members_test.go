package p2p

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"inos/kernel/api"
)

func TestIdentityConversion(t *testing.T) {
	_, id := newKey(t)
	got, ok := nodeOf(peerOf(id))
	if !ok || got != id {
		t.Fatal("a node id does not survive the trip")
	}
	if _, ok := nodeOf("not a peer"); ok {
		t.Fatal("garbage became a node id")
	}
}

func TestListenOn(t *testing.T) {
	want := []string{"/ip4/127.0.0.1/tcp/7", "/ip4/127.0.0.1/udp/7/quic-v1"}
	if got := ListenOn("127.0.0.1", 7); !slices.Equal(got, want) {
		t.Error(got)
	}
	if got := ListenOn("", 0); len(got) != 4 || got[2] != "/ip6/::/tcp/0" {
		t.Error(got)
	}
}

// events collects OnPeer calls.
func peerEvents(c *Config) chan string {
	ch := make(chan string, 64)
	c.OnPeer = func(n api.NodeID, up bool) {
		if up {
			ch <- "up " + n.Short()
		} else {
			ch <- "down " + n.Short()
		}
	}
	return ch
}

func next(t *testing.T, ch <-chan string, want string) {
	t.Helper()
	select {
	case got := <-ch:
		if got != want {
			t.Fatalf("event %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no event %q", want)
	}
}

func TestPeersGoUpAndDown(t *testing.T) {
	m := newTestMesh()
	var ea, eb chan string
	a := m.member(t, func(c *Config) { ea = peerEvents(c) })
	b := m.member(t, func(c *Config) { eb = peerEvents(c) })
	connect(t, a, b)
	next(t, ea, "up "+b.ID().Short())
	next(t, eb, "up "+a.ID().Short())
	ps := a.Peers()
	if len(ps) != 1 || ps[0].ID != b.ID() || ps[0].Transport != "tcp" || ps[0].Inbound || ps[0].Latency <= 0 {
		t.Fatalf("%+v", ps)
	}
	if !a.Connected(b.ID()) || a.Stats().Peers != 1 || b.Stats().Strangers != 0 {
		t.Fatal("the tables disagree")
	}
	if err := a.Disconnect(b.ID()); err != nil {
		t.Fatal(err)
	}
	next(t, ea, "down "+b.ID().Short())
	next(t, eb, "down "+a.ID().Short())
}

func TestKeepReconnectsAfterRestart(t *testing.T) {
	m := newTestMesh()
	var events chan string
	a := m.member(t, func(c *Config) { events = peerEvents(c) })
	key, id := newKey(t)
	m.set(id, true)
	b := m.host(t, key, nil)
	addrs := b.Addrs()
	if err := a.Keep(id, addrs); err != nil {
		t.Fatal(err)
	}
	next(t, events, "up "+id.Short())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	next(t, events, "down "+id.Short())
	listen := strings.Split(addrs[0], "/p2p/")[0]
	b = m.host(t, key, func(c *Config) { c.Listen = []string{listen} })
	next(t, events, "up "+id.Short())
	a.Forget(id)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	next(t, events, "down "+id.Short())
}

func TestCredentialAdmitsAnUnknownMember(t *testing.T) {
	m := newTestMesh()
	ma, mb := newTestMesh(), newTestMesh() // each host's own, partial knowledge
	admit := func(own *testMesh) func(*Config) {
		return func(c *Config) {
			c.Member = own.has
			c.Credential = func() []byte { return []byte("signed by the root") }
			c.Admit = func(n api.NodeID, cred []byte) error {
				if string(cred) != "signed by the root" {
					return api.Errorf("test", api.Unverified, "the membership was signed by another mesh")
				}
				own.set(n, true)
				return nil
			}
		}
	}
	a, b := m.member(t, admit(ma)), m.member(t, admit(mb))
	connect(t, a, b)
	if !a.Connected(b.ID()) || !b.Connected(a.ID()) {
		t.Fatal("not admitted")
	}
	forger := m.member(t, func(c *Config) {
		c.Credential = func() []byte { return []byte("forged") }
	})
	mb.set(forger.ID(), false)
	_, err := forger.Connect(testContext(t), b.Addrs()...)
	wantKind(t, err, api.Unverified)
	if !strings.Contains(err.Error(), "another mesh") || b.Connected(forger.ID()) {
		t.Fatal(err)
	}
}

func TestStrangerReachesOnlyJoin(t *testing.T) {
	m := newTestMesh()
	seed := m.member(t, nil)
	serve(seed, block(1, 10))
	mustHandle(t, seed, "secret", echo)
	if err := seed.Handle("join", HandleOptions{}, echo); err != nil {
		t.Fatal(err)
	}
	key, _ := newKey(t)
	own := newTestMesh() // the stranger takes the seed for a member
	own.set(seed.ID(), true)
	stranger := m.host(t, key, func(c *Config) { c.Member = own.has })
	ctx := testContext(t)

	who, out, err := stranger.CallStranger(ctx, seed.Addrs(), "join", []byte("invite"))
	if err != nil || string(out) != "invite" || who != seed.ID() {
		t.Fatal(who, out, err)
	}
	_, _, err = stranger.CallStranger(ctx, seed.Addrs(), "secret", nil)
	wantKind(t, err, api.Denied)
	_, _, err = stranger.CallStranger(ctx, seed.Addrs(), "join", make([]byte, strangerBody+1))
	wantKind(t, err, api.Exhausted)
	_, err = stranger.Connect(ctx, seed.Addrs()...)
	wantKind(t, err, api.Denied)

	// On a raw connection, every protocol but joining is reset.
	if err := stranger.dial(ctx, "test", seed.ID(), mustInfo(t, seed)); err != nil {
		t.Fatal(err)
	}
	protocols := hubOf(seed).h.Mux().Protocols()
	refused := 0
	for _, p := range protocols {
		if p == joinProtocol || p == helloProtocol || strings.HasPrefix(string(p), "/ipfs/id/") {
			continue
		}
		if !streamIsRefused(t, stranger, seed, p) {
			t.Errorf("a stranger may use %s", p)
		}
		refused++
	}
	if refused < 4 { // rpc, blocks, the DHT, gossipsub
		t.Fatalf("only %d protocols checked: %v", refused, protocols)
	}
	if seed.Stats().Refused < uint64(refused) {
		t.Error("refusals are not counted")
	}
}

// streamIsRefused opens a stream as a raw libp2p peer and reports whether it
// ends without an answer.
func streamIsRefused(t *testing.T, from, to *Host, id protocol.ID) bool {
	t.Helper()
	s, err := hubOf(from).h.NewStream(network.WithNoDial(testContext(t), "test"), peerOf(to.ID()), id)
	if err != nil {
		return true
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = s.Write([]byte{0, 0, 0, 1, 0})
	_, err = s.Read(make([]byte, 1))
	return err != nil && !isTimeout(err)
}

func TestStrangersAreBoundedAndExpire(t *testing.T) {
	m := newTestMesh()
	seed := m.member(t, func(c *Config) {
		c.Limits.Strangers = 2
		c.Limits.StrangerTime = 4 * time.Second // the three dials fit in, also on a busy machine
	})
	dial := func() error {
		key, _ := newKey(t)
		h := m.host(t, key, nil)
		return rawHello(t, h, seed)
	}
	for range 2 {
		if err := dial(); err != nil {
			t.Fatal(err)
		}
	}
	if err := dial(); err == nil {
		t.Fatal("a third stranger stays")
	}
	deadline := time.After(20 * time.Second)
	for seed.Stats().Strangers > 0 {
		select {
		case <-deadline:
			t.Fatal("strangers do not expire")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// rawHello connects without introduction and checks that the connection stands.
func rawHello(t *testing.T, from, to *Host) error {
	t.Helper()
	ctx := testContext(t)
	if err := from.dial(ctx, "test", to.ID(), mustInfo(t, to)); err != nil {
		return err
	}
	_, err := hubOf(from).h.NewStream(network.WithNoDial(ctx, "test"), peerOf(to.ID()), joinProtocol)
	return err
}

func TestClosedMeshRefusesTheConnection(t *testing.T) {
	m := newTestMesh()
	seed := m.member(t, func(c *Config) { c.Strangers = func() bool { return false } })
	key, _ := newKey(t)
	own := newTestMesh()
	own.set(seed.ID(), true)
	stranger := m.host(t, key, func(c *Config) { c.Member = own.has })
	_, err := stranger.Connect(testContext(t), seed.Addrs()...)
	if err == nil || seed.Stats().Refused == 0 {
		t.Fatal("connected")
	}
}

func TestRevokedMemberIsDropped(t *testing.T) {
	m := newTestMesh()
	a := m.member(t, nil)
	own := newTestMesh() // b does not learn of its revocation
	own.set(a.ID(), true)
	b := m.member(t, func(c *Config) { c.Member = own.has })
	connect(t, a, b)
	mustHandle(t, a, "echo", echo)
	ctx := testContext(t)
	if _, err := b.Call(ctx, a.ID(), "echo", nil); err != nil {
		t.Fatal(err)
	}
	m.set(b.ID(), false)
	_, err := b.Call(ctx, a.ID(), "echo", nil)
	wantKind(t, err, api.Denied)
	a.Recheck()
	waitFor(t, func() bool { return !a.Connected(b.ID()) && !b.Connected(a.ID()) })
	_, err = b.Connect(ctx, a.Addrs()...)
	wantKind(t, err, api.Denied)
}

func TestTransportsInOrder(t *testing.T) {
	m := newTestMesh()
	both := m.member(t, func(c *Config) { c.Listen = ListenOn("127.0.0.1", 0) })
	quic := m.member(t, func(c *Config) { c.Listen = ListenOn("127.0.0.1", 0)[1:] })
	a := m.member(t, func(c *Config) { c.Listen = nil })
	connect(t, a, both)
	connect(t, a, quic)
	if addrs := both.Addrs(); len(addrs) != 2 || !strings.Contains(addrs[0], "/tcp/") {
		t.Fatal("TCP is not announced first:", addrs)
	}
	want := map[api.NodeID]string{both.ID(): "tcp", quic.ID(): "quic"}
	for _, p := range a.Peers() {
		if p.Transport != want[p.ID] {
			t.Errorf("%s is reached over %s, want %s", p.Addr, p.Transport, want[p.ID])
		}
	}
	mustHandle(t, quic, "echo", echo)
	if _, err := a.Call(testContext(t), quic.ID(), "echo", nil); err != nil {
		t.Fatal(err)
	}
}

func TestBothDialAtOnce(t *testing.T) {
	m := newTestMesh()
	a, b := m.member(t, nil), m.member(t, nil)
	mustHandle(t, a, "echo", echo)
	mustHandle(t, b, "echo", echo)
	done := make(chan error, 2)
	meet := func(x, y *Host) {
		_, err := x.Connect(testContext(t), y.Addrs()...)
		if err == nil {
			_, err = x.Call(testContext(t), y.ID(), "echo", nil)
		}
		done <- err
	}
	go meet(a, b)
	go meet(b, a)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if a.Stats().SameKey+b.Stats().SameKey != 0 {
		t.Fatal("a second connection was taken for a second node")
	}
}
