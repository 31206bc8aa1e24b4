package p2p

import (
	"context"
	"sync"
)

// maxQueued bounds the bytes that wait in an outbox. A single larger message
// may enter when the outbox is empty.
const maxQueued = 1 << 20

// keepBuffer is the largest buffer an idle outbox holds on to.
const keepBuffer = 64 << 10

// outbox writes the messages of many goroutines to one stream, whole and in the
// order of their arrival. What arrives while a write is under way leaves with
// the next one, so busy streams batch and idle ones do not wait.
type outbox struct {
	out  *paced
	fail func(error) // called once, when a write failed

	mu      sync.Mutex
	queue   []byte        // guarded by mu; at most maxQueued, or one message
	space   chan struct{} // guarded by mu; closed and replaced when the queue empties
	writing bool          // guarded by mu; a writer goroutine is running
	idle    chan struct{} // guarded by mu; closed when that goroutine ends
	err     error         // guarded by mu; sticky
}

func newOutbox(out *paced, fail func(error)) *outbox {
	return &outbox{out: out, fail: fail, space: make(chan struct{})}
}

// put queues one frame and its body and returns before they are written. It
// waits for space as long as ctx allows. body is copied.
func (o *outbox) put(ctx context.Context, msg, body []byte) error {
	size := framePrefix + len(msg) + len(body)
	o.mu.Lock()
	for o.err == nil && len(o.queue) > 0 && len(o.queue)+size > maxQueued {
		space := o.space
		o.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return ctx.Err()
		}
		o.mu.Lock()
	}
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	o.queue = append(appendFrame(o.queue, msg), body...)
	if !o.writing {
		o.writing, o.idle = true, make(chan struct{})
		go o.drain()
	}
	return nil
}

// drain writes until the queue is empty.
func (o *outbox) drain() {
	var buf []byte
	o.mu.Lock()
	for len(o.queue) > 0 && o.err == nil {
		buf, o.queue = o.queue, buf[:0]
		close(o.space)
		o.space = make(chan struct{})
		o.mu.Unlock()
		_, err := o.out.Write(buf)
		if cap(buf) > keepBuffer {
			buf = nil
		}
		o.mu.Lock()
		if err != nil && o.err == nil {
			o.err = err
			close(o.space)
			o.space = make(chan struct{})
			o.mu.Unlock()
			o.fail(err)
			o.mu.Lock()
		}
	}
	if o.queue == nil || cap(o.queue) > keepBuffer {
		o.queue = nil
	}
	o.writing = false
	close(o.idle)
	o.mu.Unlock()
}

// flush waits until everything queued is written or the outbox failed.
func (o *outbox) flush() {
	o.mu.Lock()
	for o.writing {
		idle := o.idle
		o.mu.Unlock()
		<-idle
		o.mu.Lock()
	}
	o.mu.Unlock()
}
