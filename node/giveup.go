package node

import (
	"context"
	"time"

	"inos/kernel/api"
	"inos/kernel/sched"
	"inos/kernel/wire"
)

// stopGrace is how long a payer waits for the result of an attempt that it asked
// a worker to give up. The worker signs that it stopped, and with that proof the
// escrow is returned at once; without it only after its expiry.
const stopGrace = 5 * time.Second

// flight is a dispatch on its way: ctx ends when it has its answer, or when
// nobody waits for one any more.
type flight struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// giveUp stops an attempt, here at once and on another node by asking it.
func (d *jobDriver) giveUp(e sched.Stop) {
	d.table.Lock()
	f, ok := d.running[attempt{e.Job, e.Attempt}]
	d.table.Unlock()
	if !ok {
		return
	}
	if e.To == d.n.id.ID() || !d.n.spawn(func() { d.askStop(f, e) }) {
		f.cancel()
	}
}

// askStop asks the worker to stop and gives it a while to say what came of it.
// Ending the call says the same to a worker that has not heard.
func (d *jobDriver) askStop(f flight, e sched.Stop) {
	defer f.cancel()
	ctx, cancel := context.WithTimeout(f.ctx, stopGrace)
	defer cancel()
	req, err := wire.EncodeStop(e.Job, e.Attempt)
	if err == nil {
		_, err = d.n.net.Call(ctx, e.To, methodStop, req)
	}
	if err == nil {
		<-ctx.Done()
	}
}

// openAttempt is one attempt at this worker, by payer: another may choose the
// same numbers.
type openAttempt struct {
	payer api.NodeID
	attemptOf
}

// open lets an attempt be stopped by its payer until the returned function is called.
func (w *worker) open(d api.Dispatch, cancel context.CancelFunc) (closed func()) {
	key := openAttempt{d.Spec.Payer, attemptOf{d.Spec.ID, d.Attempt}}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, twice := w.stops[key]; twice {
		return func() {} // a repetition, which is refused further on
	}
	w.stops[key] = cancel
	return func() {
		w.mu.Lock()
		delete(w.stops, key)
		w.mu.Unlock()
	}
}

// handleStop ends an attempt of the payer that asks: in the queue, on the way of
// its input or in the guest. An unknown one may not have come yet, so the payer
// learns of it.
func (n *Node) handleStop(_ context.Context, from api.NodeID, req []byte) ([]byte, error) {
	job, no, err := wire.DecodeStop(req)
	if err != nil {
		return nil, err
	}
	n.worker.mu.Lock()
	cancel := n.worker.stops[openAttempt{from, attemptOf{job, no}}]
	n.worker.mu.Unlock()
	if cancel == nil {
		return nil, api.Errorf("node.stop", api.NotFound, "this worker has no such attempt")
	}
	cancel()
	return nil, nil
}
