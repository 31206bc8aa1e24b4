package epoch

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
)

func newLine() []byte {
	b := make([]byte, 2*layout.EpochCellSize)
	for !layout.Aligned(b, layout.Line) {
		b = b[1:]
	}
	return b[:layout.EpochCellSize:layout.EpochCellSize]
}

// parkedCount says how many waiters are parked, for tests that must not race a wake.
func (c *Cell) parkedCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for w := c.parked; w != nil; w = w.next {
		n++
	}
	return n
}

func untilParked(c *Cell, n int) {
	for c.parkedCount() != n {
		runtime.Gosched()
	}
}

func TestAwaitReturnsAtOnceWhenTheCountDiffers(t *testing.T) {
	c := New(newLine())
	seen := c.Load()
	c.Advance()
	now, err := c.Await(context.Background(), seen)
	if err != nil || now != seen+1 {
		t.Fatalf("got %d, %v", now, err)
	}
}

func TestAwaitWrapsAround(t *testing.T) {
	line := newLine()
	layout.U32(line, layout.EpochCellAtValue).Store(^uint32(0))
	c := New(line)
	seen := c.Load()
	c.Advance()
	if now, err := c.Await(context.Background(), seen); err != nil || now != 0 {
		t.Fatalf("got %d, %v", now, err)
	}
}

func TestAdvanceWakesEveryWaiter(t *testing.T) {
	const waiters = 16
	c := New(newLine())
	var done sync.WaitGroup
	for range waiters {
		done.Go(func() {
			if now, err := c.Await(context.Background(), 0); err != nil || now != 1 {
				t.Errorf("got %d, %v", now, err)
			}
		})
	}
	untilParked(c, waiters)
	c.Advance()
	done.Wait()
	if n := c.waiting.Load(); n != 0 {
		t.Fatalf("%d waiters still counted", n)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	c := New(newLine())
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() { _, err := c.Await(ctx, 0); result <- err }()
	untilParked(c, 1)
	cancel()
	err := <-result
	if !errors.Is(err, context.Canceled) || !errors.Is(err, api.Canceled) {
		t.Fatalf("got %v", err)
	}
	expired, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	if _, err := c.Await(expired, 0); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, api.Timeout) {
		t.Fatalf("got %v", err)
	}
	if c.waiting.Load() != 0 || c.parkedCount() != 0 {
		t.Fatal("a cancelled waiter is still counted")
	}
}

func TestCloseEndsEveryAwait(t *testing.T) {
	c := New(newLine())
	result := make(chan error)
	go func() { _, err := c.Await(context.Background(), 0); result <- err }()
	untilParked(c, 1)
	c.Close()
	if err := <-result; !errors.Is(err, api.Closed) {
		t.Fatalf("got %v", err)
	}
	if _, err := c.Await(context.Background(), 0); !errors.Is(err, api.Closed) {
		t.Fatalf("got %v", err)
	}
}

// Every store before an advance is visible after the await that saw it. With
// -race this proves the happens-before edge.
func TestAdvancePublishesEarlierStores(t *testing.T) {
	const rounds = 20_000
	c, ack := New(newLine()), New(newLine())
	plain := 0
	go func() {
		seen := uint32(0)
		for i := 1; i <= rounds; i++ {
			plain = i
			c.Advance()
			seen, _ = ack.Await(context.Background(), seen)
		}
	}()
	seen := uint32(0)
	for i := 1; i <= rounds; i++ {
		var err error
		if seen, err = c.Await(context.Background(), seen); err != nil {
			t.Fatal(err)
		}
		if plain != i {
			t.Fatalf("round %d: read %d", i, plain)
		}
		ack.Advance()
	}
}

// Waiters come, cancel and go while a writer advances; nobody sleeps through
// the last advance and nobody stays counted.
func TestNoWakeIsLost(t *testing.T) {
	const waiters, rounds = 4, 3000
	c := New(newLine())
	var done sync.WaitGroup
	for i := range waiters {
		done.Go(func() {
			seen := uint32(0)
			for n := 0; seen != rounds; n++ {
				ctx, cancel := context.WithCancel(context.Background())
				if (n+i)%3 == 0 {
					go cancel()
				}
				if now, err := c.Await(ctx, seen); err == nil {
					seen = now
				}
				cancel()
			}
		})
	}
	for range rounds {
		c.Advance()
		runtime.Gosched()
	}
	done.Wait()
	if c.waiting.Load() != 0 || c.parkedCount() != 0 {
		t.Fatalf("%d waiters still counted", c.waiting.Load())
	}
}

// slowFutex sleeps until its context ends, and takes its time to come back.
type slowFutex struct{ inside, left atomic.Int32 }

func (f *slowFutex) Wait(ctx context.Context, _ *atomic.Uint32, _ uint32) {
	f.inside.Add(1)
	<-ctx.Done()
	for range 1000 {
		runtime.Gosched()
	}
	f.left.Add(1)
}

func (*slowFutex) Wake(*atomic.Uint32) {}

// The memory may be mapped anew as soon as Close returns, after which nobody
// could wake who still slept on it.
func TestCloseWaitsForSleepersToLeave(t *testing.T) {
	const sleepers = 4
	var f slowFutex
	c := New(newLine()).Follow(&f)
	errs := make(chan error, sleepers)
	for range sleepers {
		go func() {
			_, err := c.Await(context.Background(), 0)
			errs <- err
		}()
	}
	for f.inside.Load() != sleepers {
		runtime.Gosched()
	}
	c.Close()
	if n := f.left.Load(); n != sleepers {
		t.Fatalf("Close returned while %d of %d still slept", sleepers-n, sleepers)
	}
	if _, n := c.Waiters(); n != 0 {
		t.Fatalf("%d sleepers are still counted", n)
	}
	for range sleepers {
		if err := <-errs; !errors.Is(err, api.Closed) {
			t.Fatal(err)
		}
	}
	if _, err := c.Await(context.Background(), 0); !errors.Is(err, api.Closed) || f.inside.Load() != sleepers {
		t.Fatalf("%v, or it slept again", err)
	}
}

func TestSignalAdvancesOnlyForWaiters(t *testing.T) {
	c := New(newLine())
	c.Signal()
	if c.Load() != 0 {
		t.Fatal("a signal without waiters advanced the cell")
	}
	seen := c.Prepare()
	c.Signal()
	if err := c.Wait(context.Background(), seen); err != nil {
		t.Fatal(err)
	}
	c.Prepare()
	c.Cancel()
	if c.waiting.Load() != 0 {
		t.Fatal("cancel left the waiter counted")
	}
}

func TestAdvanceAndWakeAllocateNothing(t *testing.T) {
	c := New(newLine())
	if n := testing.AllocsPerRun(100, c.Advance); n != 0 {
		t.Fatalf("Advance allocates %v times", n)
	}
}

func BenchmarkAdvance(b *testing.B) {
	c := New(newLine())
	b.ReportAllocs()
	for b.Loop() {
		c.Advance()
	}
}

// BenchmarkWake measures a hand-off: advance, wake the parked peer, and wait
// for its answer. One operation is two hand-offs. "chan" does the same over
// unbuffered channels.
func BenchmarkWake(b *testing.B) {
	b.Run("cell", func(b *testing.B) {
		ping, pong := New(newLine()), New(newLine())
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			for seen := uint32(0); ; {
				var err error
				if seen, err = ping.Await(ctx, seen); err != nil {
					return
				}
				pong.Advance()
			}
		}()
		b.ReportAllocs()
		for seen := uint32(0); b.Loop(); {
			ping.Advance()
			seen, _ = pong.Await(ctx, seen)
		}
	})
	b.Run("chan", func(b *testing.B) {
		ping, pong := make(chan uint32), make(chan uint32)
		go func() {
			for v := range ping {
				pong <- v
			}
		}()
		defer close(ping)
		for b.Loop() {
			ping <- 1
			<-pong
		}
	})
}

// BenchmarkWakeLatency reports the median time from Advance to the return of
// an Await that was parked, as p50-ns.
func BenchmarkWakeLatency(b *testing.B) {
	c := New(newLine())
	start := time.Now()
	var sent atomic.Int64
	woke := make(chan int64)
	go func() {
		defer close(woke)
		for seen := uint32(0); ; {
			var err error
			if seen, err = c.Await(context.Background(), seen); err != nil {
				return
			}
			woke <- int64(time.Since(start)) - sent.Load()
		}
	}()
	var samples []int64
	for b.Loop() {
		untilParked(c, 1)
		sent.Store(int64(time.Since(start)))
		c.Advance()
		samples = append(samples, <-woke)
	}
	c.Close()
	b.ReportMetric(float64(median(samples)), "p50-ns")
}
