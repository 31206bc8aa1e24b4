package p2p

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Calls travel over long-lived streams, many at once, matched by number. A lane
// is one such stream. Large calls have a lane of their own so that small ones do
// not queue behind megabytes.
const (
	laneSmall = iota
	laneLarge
	laneCount

	largeCall = 32 << 10 // request bytes from which a call takes the large lane
	maxOpen   = 1024     // calls in flight on one lane; more get Exhausted
	laneRead  = 4 << 10  // read buffer of a lane
)

// laneSlot holds a peer's lane while one is open.
type laneSlot struct {
	mu   sync.Mutex // held while a lane is opened
	lane *lane      // guarded by mu
}

// lane is the calling side of one stream.
type lane struct {
	h    *Host
	to   api.NodeID
	r    *remote // nil for a stranger's call
	s    stream
	out  *outbox
	mu   sync.Mutex
	next uint64                     // guarded by mu
	open map[uint64]chan<- response // guarded by mu; at most maxOpen; nil when the lane is dead
	err  error                      // guarded by mu; why it is dead
}

type response struct {
	call wire.Call
	body []byte
	err  error
}

// Call asks peer to run method and returns its answer. req has at most
// wire.MaxBody bytes and is not kept. The deadline and cancellation of ctx
// travel with the call. A failure of the handler arrives with its kind and
// message; on the way Unavailable means that the peer is not reachable or left
// (whether the handler ran is then unknown), Timeout and Canceled are those of
// ctx, and Exhausted means that too many calls are in flight. Calls are not
// retried, except when the connection is found dead before anything was sent.
func (h *Host) Call(ctx context.Context, to api.NodeID, method string, req []byte) ([]byte, error) {
	const op = "p2p.call"
	if len(req) > wire.MaxBody {
		return nil, api.Errorf(op, api.Invalid, "a request has at most 4 MiB")
	}
	r, err := h.member(ctx, op, to)
	if err != nil {
		return nil, err
	}
	kind := laneSmall
	if len(req) >= largeCall {
		kind = laneLarge
	}
	l, err := r.lanes[kind].get(ctx, h, r)
	if err != nil {
		return nil, openError(ctx, op, to, err)
	}
	return l.call(ctx, op, method, req)
}

// CallStranger dials addrs without being a member, calls one method that is
// registered without RequireMember, closes the connection and returns who
// answered: how a node joins. When the peer is connected as a member already,
// it is an ordinary call. Errors are those of Connect and Call.
func (h *Host) CallStranger(ctx context.Context, addrs []string, method string, req []byte) (api.NodeID, []byte, error) {
	const op = "p2p.join"
	n, list, err := parseAddrs(op, addrs)
	if err != nil {
		return n, nil, err
	}
	if n == h.id {
		return n, nil, h.selfDial(op, list)
	}
	if h.Connected(n) {
		out, err := h.Call(ctx, n, method, req)
		return n, out, err
	}
	if err := h.dial(ctx, op, n, list); err != nil {
		return n, nil, err
	}
	defer func() {
		if !h.Connected(n) {
			_ = h.net.closePeer(n)
		}
	}()
	l, err := h.openLane(ctx, nil, n, joinProtocol)
	if err != nil {
		return n, nil, openError(ctx, op, n, err)
	}
	defer l.fail(io.EOF)
	out, err := l.call(ctx, op, method, req)
	return n, out, err
}

// get returns the open lane or opens one.
func (slot *laneSlot) get(ctx context.Context, h *Host, r *remote) (*lane, error) {
	slot.mu.Lock()
	defer slot.mu.Unlock()
	if slot.lane != nil && slot.lane.alive() {
		return slot.lane, nil
	}
	l, err := h.openLane(ctx, r, r.id, rpcProtocol)
	if err != nil {
		return nil, err
	}
	slot.lane = l
	return l, nil
}

func (h *Host) openLane(ctx context.Context, r *remote, n api.NodeID, protocol string) (*lane, error) {
	s, err := h.net.stream(ctx, n, protocol)
	if err != nil {
		return nil, err
	}
	l := &lane{h: h, to: n, r: r, s: s, open: make(map[uint64]chan<- response)}
	l.out = newOutbox(&paced{s: s, stall: h.cfg.Limits.Stall}, l.fail)
	if !h.goWork(l.read) {
		_ = s.Reset()
		return nil, closedError("p2p.call")
	}
	return l, nil
}

func (l *lane) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open != nil
}

// call sends one request and waits for its answer.
func (l *lane) call(ctx context.Context, op, method string, req []byte) ([]byte, error) {
	l.h.counts.calls.Add(1)
	if err := ctx.Err(); err != nil {
		return nil, api.E(op, api.Other, err)
	}
	head := wire.Call{Type: wire.CallRequest, Method: method, BodySize: uint32(len(req))}
	if deadline, ok := ctx.Deadline(); ok {
		head.TimeoutMS = wire.Millis(int64(time.Until(deadline)))
	}
	answer := make(chan response, 1)
	id, err := l.register(op, answer)
	if err != nil {
		return nil, err
	}
	head.ID = id
	msg, err := wire.EncodeCall(head)
	if err != nil {
		l.forget(id)
		return nil, api.E(op, api.Other, err)
	}
	start := time.Now()
	if err := l.out.put(ctx, msg, req); err != nil {
		l.forget(id)
		return nil, openError(ctx, op, l.to, err)
	}
	select {
	case a := <-answer:
		if a.err != nil {
			return nil, transferError(op, l.to, a.err)
		}
		l.observe(time.Since(start), a.call, len(req)+len(a.body))
		if a.call.Failed {
			return nil, api.Errorf(op, a.call.Kind, a.call.Message)
		}
		return a.body, nil
	case <-ctx.Done():
		if l.forget(id) {
			l.sendCancel(id)
		}
		return nil, api.E(op, api.Other, ctx.Err())
	}
}

// observe takes small, quick calls as measurements of the round trip.
func (l *lane) observe(elapsed time.Duration, c wire.Call, bytes int) {
	if l.r != nil && bytes < largeCall {
		l.r.observeRTT(elapsed - time.Duration(c.ServiceUS)*time.Microsecond)
	}
}

func (l *lane) register(op string, answer chan<- response) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		return 0, transferError(op, l.to, l.err)
	}
	if len(l.open) >= maxOpen {
		return 0, api.Errorf(op, api.Exhausted, "too many calls to the node "+l.to.Short()+" are in flight; wait for some to end")
	}
	l.next++
	l.open[l.next] = answer
	return l.next, nil
}

// forget drops a call; false when it was answered or the lane died.
func (l *lane) forget(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, open := l.open[id]
	delete(l.open, id)
	return open
}

// sendCancel tells the peer that nobody waits for the answer. A full outbox may
// keep it waiting, so it is sent from a goroutine of its own.
func (l *lane) sendCancel(id uint64) {
	l.h.goWork(func() {
		ctx, cancel := context.WithTimeout(l.h.ctx, l.h.cfg.Limits.Stall)
		defer cancel()
		if msg, err := wire.EncodeCall(wire.Call{Type: wire.CallCancel, ID: id}); err == nil {
			_ = l.out.put(ctx, msg, nil) // a dead lane has canceled everything already
		}
	})
}

// fail ends the lane and every call on it.
func (l *lane) fail(err error) {
	l.mu.Lock()
	open := l.open
	l.open = nil
	if l.err == nil {
		l.err = err
	}
	l.mu.Unlock()
	for _, answer := range open {
		answer <- response{err: err}
	}
	_ = l.s.Reset()
}

// read delivers answers until the stream ends.
func (l *lane) read() {
	err := l.readAll()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	l.h.badPeer(l.to, err)
	l.fail(err)
}

func (l *lane) readAll() error {
	in := &patient{p: &paced{s: l.s, stall: l.h.cfg.Limits.Stall}}
	br := bufio.NewReaderSize(in, laneRead)
	var buf []byte
	for {
		in.begun = br.Buffered() > 0
		var err error
		if buf, err = readFrame(br, wire.MaxCallFrame, buf); err != nil {
			return err
		}
		c, err := wire.DecodeCall(buf)
		if err != nil {
			return err
		}
		if c.Type != wire.CallResponse {
			return api.Errorf("p2p.call", api.Invalid, "the answer to a call is no answer")
		}
		if err := l.deliver(c, br); err != nil {
			return err
		}
	}
}

// deliver reads the body and hands it to the caller, or drops it when the
// caller has gone.
func (l *lane) deliver(c wire.Call, br *bufio.Reader) error {
	l.mu.Lock()
	answer := l.open[c.ID]
	delete(l.open, c.ID)
	l.mu.Unlock()
	if answer == nil {
		_, err := io.CopyN(io.Discard, br, int64(c.BodySize))
		return noEOF(err)
	}
	body := make([]byte, c.BodySize)
	if _, err := io.ReadFull(br, body); err != nil {
		answer <- response{err: noEOF(err)}
		return noEOF(err)
	}
	answer <- response{call: c, body: body}
	return nil
}
