package tab

import (
	"context"
	"io"
	"sync"

	"inos/kernel/api"
)

// body is what the page sends after a call, as a reader. What waits in it has at
// most Window bytes.
type body struct {
	ctx   context.Context
	taken func(n int) // tells the page that n bytes were read

	mu    sync.Mutex
	parts [][]byte      // guarded by mu
	size  int           // guarded by mu; of parts
	end   bool          // guarded by mu
	moved chan struct{} // capacity 1: parts or end changed
}

func newBody(ctx context.Context, taken func(int)) *body {
	return &body{ctx: ctx, taken: taken, moved: make(chan struct{}, 1)}
}

// add takes a copy of what arrived, if it is anything. Exhausted when the page sends
// more than it may.
func (b *body) add(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size+len(p) > Window || b.end {
		return api.Errorf("tab.body", api.Exhausted, "the page sent more than the kernel asked for")
	}
	b.parts = append(b.parts, append([]byte(nil), p...))
	b.size += len(p)
	b.wake()
	return nil
}

func (b *body) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end = true
	b.wake()
}

// wake is called with mu held.
func (b *body) wake() {
	select {
	case b.moved <- struct{}{}:
	default:
	}
}

// Read implements io.Reader. It fails with the call's error when the call ends.
func (b *body) Read(p []byte) (int, error) {
	for {
		b.mu.Lock()
		if len(b.parts) > 0 {
			n := copy(p, b.parts[0])
			if b.parts[0] = b.parts[0][n:]; len(b.parts[0]) == 0 {
				b.parts = b.parts[1:]
			}
			b.size -= n
			b.mu.Unlock()
			b.taken(n)
			return n, nil
		}
		end := b.end
		b.mu.Unlock()
		if end {
			return 0, io.EOF
		}
		select {
		case <-b.moved:
		case <-b.ctx.Done():
			return 0, api.E("tab.body", api.Other, b.ctx.Err())
		}
	}
}
