// Package shmem measures shared memory against what a program would use instead,
// in the same run: rings against channels, epochs against atomics and channels,
// wakes between processes against pipes and Unix sockets, the twin against memcpy.
//
// Each function does one measurement and returns a rate or a median; its callers,
// the Go benchmarks here and bench.Run, repeat and print. Wakes are given as half
// of a round trip between two sides that both sleep, so that both pay for a
// hand-off. On a shared machine compare ratios of one run.
package shmem

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/epoch"
	"inos/kernel/layout"
	"inos/kernel/ring"
	"inos/kernel/twin"
)

// Shape of the measured ring and of the channel beside it.
const (
	message = 64   // bytes
	depth   = 1024 // messages
	batch   = 32   // messages sent and received together
)

// aligned returns n zeroed bytes at a multiple of a cache line.
func aligned(n int) []byte {
	b := make([]byte, n+layout.Line)
	for !layout.Aligned(b, layout.Line) {
		b = b[1:]
	}
	return b[:n:n]
}

func newCell() *epoch.Cell { return epoch.New(aligned(layout.EpochCellSize)) }

// Ring moves n messages of 64 bytes from one goroutine to another and returns
// messages per second.
func Ring(ctx context.Context, n int) (float64, error) {
	r, err := ring.Format(aligned(layout.RingControlSize), aligned(depth*2*message), message)
	if err != nil {
		return 0, err
	}
	msgs := make([][]byte, batch)
	for i := range msgs {
		msgs[i] = make([]byte, message)
	}
	sent := make(chan error, 1)
	start := time.Now()
	go func() {
		for left := n; left > 0; left -= batch {
			if _, err := r.Writer().SendBatch(ctx, msgs[:min(batch, left)]); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	buf := make([]byte, message)
	for got := 0; got < n; {
		k, err := r.Reader().ReceiveBatch(ctx, buf, batch, func([]byte) error { return nil })
		if err != nil {
			return 0, err
		}
		got += k
	}
	return float64(n) / time.Since(start).Seconds(), <-sent
}

// Channel is Ring over a Go channel of the same depth.
func Channel(n int) float64 {
	c := make(chan [message]byte, depth)
	start := time.Now()
	go func() {
		for range n {
			c <- [message]byte{}
		}
	}()
	for range n {
		<-c
	}
	return float64(n) / time.Since(start).Seconds()
}

// Advance returns the nanoseconds of one of n advances that nobody waits for.
func Advance(n int) float64 {
	c := newCell()
	start := time.Now()
	for range n {
		c.Advance()
	}
	return float64(time.Since(start)) / float64(n)
}

// AtomicAdd is what Advance cannot be faster than.
func AtomicAdd(n int) float64 {
	line := aligned(layout.Line)
	word := layout.U32(line, 0)
	start := time.Now()
	for range n {
		word.Add(1)
	}
	return float64(time.Since(start)) / float64(n)
}

// WakeHere returns the median nanoseconds from an advance to the return of the
// await that was parked on it, in one process.
func WakeHere(ctx context.Context, rounds int) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ping, pong := newCell(), newCell()
	go func() {
		for seen := uint32(0); ; pong.Advance() {
			var err error
			if seen, err = ping.Await(ctx, seen); err != nil {
				return
			}
		}
	}()
	return halfTrips(rounds, func() error {
		seen := pong.Load()
		ping.Advance()
		_, err := pong.Await(ctx, seen)
		return err
	})
}

// WakeChannel is WakeHere over unbuffered channels.
func WakeChannel(rounds int) (float64, error) {
	ping, pong := make(chan struct{}), make(chan struct{})
	defer close(ping)
	go func() {
		for range ping {
			pong <- struct{}{}
		}
	}()
	return halfTrips(rounds, func() error {
		ping <- struct{}{}
		<-pong
		return nil
	})
}

// halfTrips returns half of the median time of trip in nanoseconds.
func halfTrips(rounds int, trip func() error) (float64, error) {
	took := make([]time.Duration, rounds)
	for i := range took {
		start := time.Now()
		if err := trip(); err != nil {
			return 0, api.E("shmem.wake", api.Other, err)
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return float64(took[rounds/2]) / 2, nil
}

// syncSize is the state that TwinSync copies.
const syncSize = 1 << 20

// TwinSync copies a state of 1 MiB that moved n times and returns bytes per
// second.
func TwinSync(n int) (float64, error) {
	mem := aligned(int(layout.Tiers[0].Size))
	a, err := arena.Format(mem, 0)
	if err != nil {
		return 0, err
	}
	w, err := a.States().Make(arena.KernelOwner, "s", syncSize)
	if err != nil {
		return 0, err
	}
	t := twin.New(twin.Memory(mem))
	if _, err := t.State("s", a.States().List()[0].Offset); err != nil {
		return 0, err
	}
	for range 2 { // touch both halves and both buffers
		_ = w.Write(make([]byte, syncSize))
		_, _ = t.Sync()
	}
	var took time.Duration
	for range n {
		w.Begin()
		w.Publish(syncSize)
		start := time.Now()
		if moved, err := t.Sync(); moved != 1 {
			return 0, api.E("shmem.sync", api.Conflict, err)
		}
		took += time.Since(start)
	}
	return float64(n) * syncSize / took.Seconds(), nil
}

// Memcpy is TwinSync with plain copies between as many buffers.
func Memcpy(n int) float64 {
	src, dst := [2][]byte{aligned(syncSize), aligned(syncSize)}, [2][]byte{aligned(syncSize), aligned(syncSize)}
	for i := range 2 {
		copy(dst[i], src[i])
	}
	var sum atomic.Uint32
	start := time.Now()
	for i := range n {
		copy(dst[i&1], src[i&1])
		sum.Add(uint32(dst[i&1][i%syncSize])) // the copy has a reader
	}
	return float64(n) * syncSize / time.Since(start).Seconds()
}
