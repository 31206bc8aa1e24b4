package p2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

func echo(_ context.Context, _ api.NodeID, req []byte) ([]byte, error) { return req, nil }

func mustHandle(tb testing.TB, h *Host, method string, fn Handler) {
	tb.Helper()
	if err := h.Handle(method, HandleOptions{RequireMember: true}, fn); err != nil {
		tb.Fatal(err)
	}
}

func TestCallCarriesBytesKindsAndCaller(t *testing.T) {
	a, b := pair(t, nil)
	ctx := testContext(t)
	mustHandle(t, b, "echo", echo)
	mustHandle(t, b, "who", func(_ context.Context, from api.NodeID, _ []byte) ([]byte, error) { return from[:], nil })
	mustHandle(t, b, "fail", func(context.Context, api.NodeID, []byte) ([]byte, error) {
		return nil, api.E("outer", api.Other, api.Errorf("inner", api.PriceAboveCap, "the quote is 3 credits"))
	})
	for _, n := range []int{0, 1, largeCall - 1, largeCall, wire.MaxBody} {
		req := bytes.Repeat([]byte{byte(n)}, n)
		got, err := a.Call(ctx, b.ID(), "echo", req)
		if err != nil || !bytes.Equal(got, req) {
			t.Fatalf("echo of %d bytes: %d bytes, %v", n, len(got), err)
		}
	}
	id := a.ID()
	if got, err := a.Call(ctx, b.ID(), "who", nil); err != nil || !bytes.Equal(got, id[:]) {
		t.Fatalf("who: %x, %v", got, err)
	}
	_, err := a.Call(ctx, b.ID(), "fail", nil)
	wantKind(t, err, api.PriceAboveCap)
	if want := "the quote is 3 credits"; err.(*api.Error).Message() != want {
		t.Fatalf("message %q, want %q", err.(*api.Error).Message(), want)
	}
	_, err = a.Call(ctx, b.ID(), "nothing", nil)
	wantKind(t, err, api.Unsupported)
	_, err = a.Call(ctx, b.ID(), "echo", make([]byte, wire.MaxBody+1))
	wantKind(t, err, api.Invalid)
	_, err = a.Call(ctx, a.ID(), "echo", nil)
	wantKind(t, err, api.Invalid)
	if a.Latency(b.ID()) <= 0 {
		t.Error("no latency after calls")
	}
	mustHandle(t, a, "back", echo)
	if _, err := b.Call(ctx, a.ID(), "back", nil); err != nil {
		t.Fatal("call against the direction of the dial:", err)
	}
}

func TestDeadlineAndCancellationTravel(t *testing.T) {
	a, b := pair(t, nil)
	ended := make(chan error, 1)
	started := make(chan struct{}, 1)
	mustHandle(t, b, "wait", func(ctx context.Context, _ api.NodeID, _ []byte) ([]byte, error) {
		started <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	_, err := a.Call(ctx, b.ID(), "wait", nil)
	wantKind(t, err, api.Timeout)
	<-started
	<-ended

	ctx, cancel = context.WithCancel(testContext(t))
	go func() { <-started; cancel() }()
	_, err = a.Call(ctx, b.ID(), "wait", nil)
	wantKind(t, err, api.Canceled)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("the handler saw %v", err)
	}
}

func TestCallsOverlapAndAreBounded(t *testing.T) {
	const limit = 8
	a, b := pair(t, func(c *Config) { c.Limits.Calls = limit })
	ctx := testContext(t)
	release := make(chan struct{})
	var running sync.WaitGroup
	running.Add(limit)
	mustHandle(t, b, "hold", func(context.Context, api.NodeID, []byte) ([]byte, error) {
		running.Done()
		<-release
		return nil, nil
	})
	var done sync.WaitGroup
	for range limit {
		done.Go(func() {
			if _, err := a.Call(ctx, b.ID(), "hold", nil); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	_, err := a.Call(ctx, b.ID(), "hold", nil)
	wantKind(t, err, api.Exhausted)
	close(release)
	done.Wait()
}

func TestManyCallers(t *testing.T) {
	a, b := pair(t, nil)
	ctx := testContext(t)
	mustHandle(t, b, "echo", echo)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 100 {
				req := fmt.Appendf(nil, "%d/%d", g, i)
				got, err := a.Call(ctx, b.ID(), "echo", req)
				if err != nil || !bytes.Equal(got, req) {
					t.Errorf("got %q, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestPeerVanishesDuringCall(t *testing.T) {
	a, b := pair(t, nil)
	mustHandle(t, b, "gone", func(ctx context.Context, _ api.NodeID, _ []byte) ([]byte, error) {
		go func() { _ = b.Close() }()
		<-ctx.Done()
		return nil, ctx.Err()
	})
	_, err := a.Call(testContext(t), b.ID(), "gone", nil)
	if k := api.KindOf(err); k != api.Unavailable && k != api.Canceled {
		t.Fatalf("got %v", err)
	}
}

func BenchmarkRPC(b *testing.B) {
	x, y := pair(b, nil)
	mustHandle(b, y, "echo", echo)
	ctx := context.Background()
	req := make([]byte, 128)
	b.Run("serial", func(b *testing.B) {
		for range b.N {
			if _, err := x.Call(ctx, y.ID(), "echo", req); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel64", func(b *testing.B) {
		b.SetParallelism(32)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := x.Call(ctx, y.ID(), "echo", req); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
