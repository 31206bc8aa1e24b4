package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/wire"
)

func TestLeafCallsAndIsCalled(t *testing.T) {
	m := newTestMesh()
	hub := m.member(t, nil)
	var events chan string
	leaf, _ := m.leafHost(t, func(c *Config) { events = peerEvents(c) })
	mustHandle(t, hub, "echo", echo)
	mustHandle(t, leaf, "echo", echo)
	connect(t, leaf, hub)
	next(t, events, "up "+hub.ID().Short())
	ctx := testContext(t)
	for _, size := range []int{0, 1, 1000, 100_000, wire.MaxBody} {
		req := block(size, max(size, 1)).Data[:size]
		for _, pair := range [][2]*Host{{leaf, hub}, {hub, leaf}} {
			out, err := pair[0].Call(ctx, pair[1].ID(), "echo", req)
			if err != nil || !bytes.Equal(out, req) {
				t.Fatalf("%d bytes: %d, %v", size, len(out), err)
			}
		}
	}
	if ps := leaf.Peers(); len(ps) != 1 || ps[0].Transport != "tcp" || ps[0].Inbound || ps[0].Latency == 0 {
		t.Fatalf("%+v", ps)
	}
	_, err := leaf.Call(ctx, hub.ID(), "nothing", nil)
	wantKind(t, err, api.Unsupported)
	if err := hub.Disconnect(leaf.ID()); err != nil {
		t.Fatal(err)
	}
	next(t, events, "down "+hub.ID().Short())
}

func TestLeafMovesBlocksBothWays(t *testing.T) {
	m := newTestMesh()
	hub := m.member(t, nil)
	leaf, _ := m.leafHost(t, nil)
	var blocks []api.Block
	for i := range 24 {
		blocks = append(blocks, block(i, []int{api.MaxBlock, 10, 70_000}[i%3]))
	}
	serve(hub, blocks...)
	backend := serve(leaf)
	connect(t, leaf, hub)
	ctx := testContext(t)
	got := 0
	if err := leaf.Fetch(ctx, hub.ID(), addrsOf(blocks), func(a api.Address, data []byte) error {
		if !bytes.Equal(data, blocks[got].Data) {
			t.Error("another block")
		}
		got++
		return nil
	}); err != nil || got != len(blocks) {
		t.Fatal(got, err)
	}
	for i := 0; i < len(blocks); i += 4 {
		if _, err := hub.StoreBlocks(ctx, leaf.ID(), api.LeaseID{1}, blocks[i:i+4]); err != nil {
			t.Fatal(err)
		}
	}
	has, err := hub.Has(ctx, leaf.ID(), addrsOf(blocks))
	if err != nil || slices.Contains(has, false) || len(backend.blocks) != len(blocks) {
		t.Fatal(has, err)
	}
	// Canceled in the middle, the next fetch works.
	short, cancel := context.WithCancel(ctx)
	err = leaf.Fetch(short, hub.ID(), addrsOf(blocks), func(api.Address, []byte) error { cancel(); return nil })
	wantKind(t, err, api.Canceled)
	if err := leaf.Fetch(ctx, hub.ID(), addrsOf(blocks[:1]), func(api.Address, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestLeafIsRefusedLikeAnybody(t *testing.T) {
	m := newTestMesh()
	hub := m.member(t, nil)
	if err := hub.Handle("join", HandleOptions{}, echo); err != nil {
		t.Fatal(err)
	}
	mustHandle(t, hub, "secret", echo)
	own := newTestMesh()
	own.set(hub.ID(), true)
	key, _ := newKey(t)
	leaf, _ := m.leafWith(t, key, func(c *Config) { c.Member = own.has })
	ctx := testContext(t)
	_, err := leaf.Connect(ctx, hub.Addrs()...)
	wantKind(t, err, api.Denied)
	who, out, err := leaf.CallStranger(ctx, hub.Addrs(), "join", []byte("invite"))
	if err != nil || who != hub.ID() || string(out) != "invite" {
		t.Fatal(who, out, err)
	}
	_, _, err = leaf.CallStranger(ctx, hub.Addrs(), "secret", nil)
	wantKind(t, err, api.Denied)
	m.set(leaf.ID(), true)
	connect(t, leaf, hub)
	m.set(leaf.ID(), false)
	_, err = leaf.Call(ctx, hub.ID(), "secret", nil)
	wantKind(t, err, api.Denied)
	hub.Recheck()
	waitFor(t, func() bool { return !leaf.Connected(hub.ID()) })
}

// TestLeafOutlivesABadWorker feeds a leaf what no honest worker sends; each ends
// the link with an error and nothing else.
func TestLeafOutlivesABadWorker(t *testing.T) {
	node := make([]byte, 32)
	node[0] = 9
	up := append(frame{kind: layout.NetConnected, conn: 1}.head(), node...)
	accept := append(frame{kind: layout.NetAccept, id: 2, conn: 1}.head(), joinProtocol...)
	full := append(frame{kind: layout.NetData, id: 2}.head(), make([]byte, layout.NetMaxData)...)
	for name, in := range map[string][][]byte{
		"short":               {{1, 2}},
		"unknown kind":        {frame{kind: 99}.head()},
		"kernel's own":        {frame{kind: layout.NetOpen}.head()},
		"no node":             {frame{kind: layout.NetConnected, conn: 1}.head()},
		"number taken":        {up, up},
		"odd accept":          {up, append(frame{kind: layout.NetAccept, id: 3, conn: 1}.head(), joinProtocol...)},
		"accept twice":        {up, accept, accept},
		"credit without end":  {up, accept, frame{kind: layout.NetCredit, id: 2, value: 1}.head()},
		"more than a window":  append([][]byte{up, accept}, slices.Repeat([][]byte{full}, layout.NetWindow/layout.NetMaxData+1)...),
		"data after the end":  {up, accept, frame{kind: layout.NetEnd, id: 2}.head(), full},
		"no data":             {up, accept, frame{kind: layout.NetData, id: 2}.head()},
		"more than a message": {append(frame{kind: layout.NetData, id: 2}.head(), make([]byte, layout.NetMaxData+1)...)},
	} {
		t.Run(name, func(t *testing.T) {
			mine, its := newLink()
			m := newTestMesh()
			key, id := newKey(t)
			m.set(id, true)
			h := m.host(t, key, func(c *Config) { c.Listen, c.Link = nil, mine })
			hold := make(chan struct{})
			h.net.(*leaf).handlers[joinProtocol] = func(s stream) { <-hold; _ = s.Reset() }
			defer close(hold)
			go func() {
				for {
					if _, err := its.Receive(context.Background()); err != nil {
						return
					}
				}
			}()
			for _, b := range in {
				if err := its.Send(testContext(t), b); err != nil {
					break // the link ended early enough
				}
			}
			select {
			case <-its.done:
			case <-time.After(10 * time.Second):
				t.Fatal("the link stands")
			}
			_, err := h.net.stream(testContext(t), api.NodeID{9}, joinProtocol)
			wantKind(t, err, api.Closed)
			if h.Stats().Strangers != 0 || len(h.Peers()) != 0 {
				t.Fatal("peers remain")
			}
		})
	}
}

// scripted is a leaf whose worker is the test: it holds one connection and
// answers each open with the next number.
func scripted(t *testing.T) (*leaf, *chanLink, api.NodeID) {
	t.Helper()
	mine, its := newLink()
	m := newTestMesh()
	key, id := newKey(t)
	m.set(id, true)
	h := m.host(t, key, func(c *Config) { c.Listen, c.Link = nil, mine })
	ctx := testContext(t)
	if _, err := its.Receive(ctx); err != nil { // netStart
		t.Fatal(err)
	}
	peer := api.NodeID{7}
	if err := its.Send(ctx, frame{kind: layout.NetConnected, conn: 1}.head(), peer[:]); err != nil {
		t.Fatal(err)
	}
	l := h.net.(*leaf)
	waitFor(t, func() bool { return len(l.connsOf(peer)) == 1 })
	return l, its, peer
}

func (l *chanLink) expect(t *testing.T, kind uint8) frame {
	t.Helper()
	m, err := l.Receive(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	f, err := decodeFrame(m)
	if err != nil || f.kind != kind {
		t.Fatalf("%+v, %v, want kind %d", f, err, kind)
	}
	return f
}

func openScripted(t *testing.T, l *leaf, its *chanLink, peer api.NodeID) stream {
	t.Helper()
	type result struct {
		s   stream
		err error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := l.stream(testContext(t), peer, "/x/1")
		opened <- result{s, err}
	}()
	f := its.expect(t, layout.NetOpen)
	if err := its.Send(testContext(t), frame{kind: layout.NetOpened, id: f.id, conn: 1}.head()); err != nil {
		t.Fatal(err)
	}
	r := <-opened
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.s
}

func TestLeafStreamKeepsCreditAndDeadlines(t *testing.T) {
	l, its, peer := scripted(t)
	s := openScripted(t, l, its, peer)
	id := s.(*leafStream).id
	ctx := testContext(t)

	// A writer stops at the end of the credit and goes on when there is more.
	var wrote atomic.Int64
	done := make(chan error, 1)
	go func() {
		n, err := s.Write(make([]byte, layout.NetWindow+1000))
		wrote.Store(int64(n))
		done <- err
	}()
	for range layout.NetWindow / layout.NetMaxData {
		its.expect(t, layout.NetData)
	}
	select {
	case err := <-done:
		t.Fatal("wrote beyond the credit", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := its.Send(ctx, frame{kind: layout.NetCredit, id: id, value: 5000}.head()); err != nil {
		t.Fatal(err)
	}
	if f := its.expect(t, layout.NetData); len(f.payload) != 1000 {
		t.Fatal(len(f.payload))
	}
	if err := <-done; err != nil || wrote.Load() != layout.NetWindow+1000 {
		t.Fatal(wrote.Load(), err)
	}

	// Deadlines end what waits, and may be moved.
	_ = s.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := s.Read(make([]byte, 1)); !isTimeout(err) {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Time{})
	payload := block(3, 3*layout.NetWindow/4).Data
	for rest := payload; len(rest) > 0; {
		n := min(len(rest), layout.NetMaxData-7)
		if err := its.Send(ctx, frame{kind: layout.NetData, id: id}.head(), rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	got := make([]byte, len(payload))
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, payload) {
		t.Fatal("other bytes", err)
	}
	back := uint32(0)
	for back < layout.NetWindow/2 {
		back += its.expect(t, layout.NetCredit).value
	}

	// The end of one direction leaves the other.
	if err := its.Send(ctx, frame{kind: layout.NetEnd, id: id}.head()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(got); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	its.expect(t, layout.NetData)
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	its.expect(t, layout.NetEnd)
	waitFor(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.streams) == 0 })
}

func TestLeafStreamEndsWithItsConnection(t *testing.T) {
	l, its, peer := scripted(t)
	s := openScripted(t, l, its, peer)
	refused := openScripted(t, l, its, peer)
	ctx := testContext(t)
	if err := its.Send(ctx, frame{kind: layout.NetReset, id: refused.(*leafStream).id, code: uint8(api.Denied)}.head()); err != nil {
		t.Fatal(err)
	}
	if _, err := refused.Read(make([]byte, 1)); !refusedByPeer(err) {
		t.Fatal(err)
	}
	if err := its.Send(ctx, frame{kind: layout.NetGone, conn: 1}.head()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, errStreamLost) {
		t.Fatal(err)
	}
	if _, err := l.stream(ctx, peer, "/x/1"); api.KindOf(err) != api.Unavailable {
		t.Fatal(err)
	}
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add(frame{kind: layout.NetAccept, id: 2, conn: 1}.head())
	f.Add(append(frame{kind: layout.NetData, id: 2}.head(), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeFrame(b)
		if err != nil {
			return
		}
		w, err := decodeFrame(append(v.head(), v.payload...))
		if err != nil || w.kind != v.kind || w.id != v.id || w.value != v.value || !bytes.Equal(w.payload, v.payload) {
			t.Fatalf("%+v became %+v, %v", v, w, err)
		}
		_ = v.failure("x")
		_, _, _ = v.named()
		_ = v.lines()
	})
}

// TestCodesAreKinds: the worker's codes are this kernel's kinds of error.
func TestCodesAreKinds(t *testing.T) {
	for code, kind := range map[int]api.Kind{
		layout.NetOwnKey: api.Exists, layout.NetRefused: api.Denied, layout.NetUnavailable: api.Unavailable, layout.NetFull: api.Exhausted,
	} {
		if code != int(kind) {
			t.Errorf("the schema has %d for %s, which is %d", code, kind, kind)
		}
	}
}
