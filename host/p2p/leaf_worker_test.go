package p2p

import (
	"context"
	"errors"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// The kernel hangs up while a stream is being opened; the worker, which took the
// open first, answers it honestly. That costs the stream and not the link.
func TestLeafLosesAStreamThatOpensAfterAHangUp(t *testing.T) {
	l, its, peer := scripted(t)
	ctx := testContext(t)
	opened := make(chan error, 1)
	go func() {
		_, err := l.stream(ctx, peer, "/x/1")
		opened <- err
	}()
	f := its.expect(t, layout.NetOpen)
	if err := l.closePeer(peer); err != nil {
		t.Fatal(err)
	}
	its.expect(t, layout.NetHangUp)
	if err := its.Send(ctx, frame{kind: layout.NetOpened, id: f.id, conn: 1}.head()); err != nil {
		t.Fatal(err)
	}
	if got := its.expect(t, layout.NetReset); got.id != f.id {
		t.Fatalf("stream %d was reset, not %d", got.id, f.id)
	}
	if err := <-opened; !errors.Is(err, errStreamLost) {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.streams) != 0 || l.ended != nil {
		t.Fatalf("%d streams, %v", len(l.streams), l.ended)
	}
}

func TestLeafLetsGoOfAStreamThatItCannotAskFor(t *testing.T) {
	l, its, peer := scripted(t)
	for len(its.in) < cap(its.in) { // the link takes nothing more
		l.tell(frame{kind: layout.NetHangUp, conn: 99})
	}
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan error, 1)
	go func() {
		_, err := l.stream(ctx, peer, "/x/1")
		done <- err
	}()
	var kept *leafStream
	waitFor(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, s := range l.streams {
			kept = s
		}
		return kept != nil
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if kept.ctx.Err() == nil {
		t.Fatal("the stream's context is kept")
	}
}

// A stream of news that is lost now and then is opened again each time; only
// failures in a row end the trying.
func TestLeafNewsOutliveManyLosses(t *testing.T) {
	l, its, peer := scripted(t)
	n := newLeafNews(l)
	n.retry = time.Millisecond
	done := make(chan struct{})
	go func() {
		n.speak(&remote{id: peer, gone: make(chan struct{})}, nil)
		close(done)
	}()
	ctx := testContext(t)
	say := func(f frame) {
		t.Helper()
		if err := its.Send(ctx, f.head()); err != nil {
			t.Fatal(err)
		}
	}
	refuse := func() {
		t.Helper()
		say(frame{kind: layout.NetReset, id: its.expect(t, layout.NetOpen).id, code: uint8(api.Unavailable)})
	}
	for range 2 * floodRetries {
		refuse()
		f := its.expect(t, layout.NetOpen)
		say(frame{kind: layout.NetOpened, id: f.id, conn: 1})
		its.expect(t, layout.NetData)
		say(frame{kind: layout.NetReset, id: f.id})
	}
	for range floodRetries {
		refuse()
	}
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatal("it still tries")
	}
}
