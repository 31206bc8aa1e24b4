package p2p

import (
	"sync"
	"time"
)

// deadline is a time that may be moved, and a channel that is closed from then
// on.
//
// Source: net.Pipe in Go's library.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer   // guarded by mu
	past  chan struct{} // guarded by mu; closed once the time has passed
}

// wait returns the channel. A later set may replace it, so ask anew each time.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channel()
}

func (d *deadline) channel() chan struct{} {
	if d.past == nil {
		d.past = make(chan struct{})
	}
	return d.past
}

// set moves the deadline; the zero time means none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.past // the timer fired and is about to close it
	}
	d.timer = nil
	past := d.channel()
	closed := false
	select {
	case <-past:
		closed = true
	default:
	}
	if !t.IsZero() && !t.After(time.Now()) {
		if !closed {
			close(past)
		}
		return
	}
	if closed {
		past = make(chan struct{})
		d.past = past
	}
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() { close(past) })
	}
}
