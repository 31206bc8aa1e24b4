package p2p

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Handler answers one call. ctx ends at the caller's deadline, when the caller
// cancels or leaves, and when the host closes. req is the handler's until it
// returns; the returned bytes, at most wire.MaxBody, are not kept after that.
// An error reaches the caller as its kind and message.
type Handler func(ctx context.Context, from api.NodeID, req []byte) ([]byte, error)

// HandleOptions say who may call a method.
type HandleOptions struct {
	// RequireMember refuses callers that are not members with Denied. Only the
	// methods by which a node joins go without.
	RequireMember bool
}

type handlerEntry struct {
	fn     Handler
	member bool
}

const (
	strangerCalls = 4         // handlers running for one stranger
	strangerBody  = 64 << 10  // bytes of a stranger's request
	maxCallTime   = time.Hour // of a call without a deadline
	smallBody     = 64 << 10  // requests from this size count against Limits.ServeBytes
)

// Handle registers the handler of a method, once. Register before peers call;
// a call of an unknown method gets Unsupported.
func (h *Host) Handle(method string, opt HandleOptions, fn Handler) error {
	const op = "p2p.handle"
	if method == "" || len(method) > wire.MaxMethod || fn == nil {
		return api.Errorf(op, api.Invalid, "a method has a name of 1 to 64 bytes and a handler")
	}
	if _, taken := h.handlers.LoadOrStore(method, handlerEntry{fn, opt.RequireMember}); taken {
		return api.Errorf(op, api.Exists, "the method "+method+" has a handler already")
	}
	return nil
}

// caller is the answering side of one stream of calls.
type caller struct {
	h      *Host
	from   api.NodeID
	r      *remote
	member bool // on the members' protocol
	ctx    context.Context
	out    *outbox

	mu   sync.Mutex
	open map[uint64]context.CancelFunc // guarded by mu; bounded by the slots of r.calls
}

// serveRPC answers the calls of a member.
func (h *Host) serveRPC(s stream) { h.serveCalls(s, true) }

// serveJoin answers the calls that strangers may make.
func (h *Host) serveJoin(s stream) { h.serveCalls(s, false) }

func (h *Host) serveCalls(s stream, member bool) {
	n := s.conn().peer()
	h.serveStream(s, func(r *remote) {
		ctx, cancel := context.WithCancel(h.ctx)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
		defer stop()
		c := &caller{h: h, from: n, r: r, member: member, ctx: ctx, open: make(map[uint64]context.CancelFunc)}
		c.out = newOutbox(&paced{s: s, stall: h.cfg.Limits.Stall}, func(error) { cancel() })
		err := c.serve(s)
		if err != nil && !errors.Is(err, io.EOF) {
			h.badPeer(n, err)
			_ = s.Reset()
			return
		}
		_ = s.Close()
	})
}

// serveStream runs fn for an inbound stream's peer in libp2p's goroutine, and
// Close waits for it.
func (h *Host) serveStream(s stream, fn func(r *remote)) {
	n := s.conn().peer()
	h.mu.Lock()
	r := h.peers[n]
	if h.closed || r == nil {
		h.mu.Unlock()
		_ = s.Reset()
		return
	}
	h.work.Add(1)
	h.mu.Unlock()
	defer h.work.Done()
	fn(r)
}

// serve reads requests until the stream ends.
func (c *caller) serve(s stream) error {
	in := &patient{p: &paced{s: s, stall: c.h.cfg.Limits.Stall}}
	br := bufio.NewReaderSize(in, laneRead)
	var buf []byte
	for {
		in.begun = br.Buffered() > 0
		var err error
		if buf, err = readFrame(br, wire.MaxCallFrame, buf); err != nil {
			return err
		}
		call, err := wire.DecodeCall(buf)
		if err != nil {
			return err
		}
		switch call.Type {
		case wire.CallRequest:
			err = c.request(call, br)
		case wire.CallCancel:
			c.cancel(call.ID)
		default:
			err = api.Errorf("p2p.serve", api.Invalid, "a caller sends an answer")
		}
		if err != nil {
			return err
		}
	}
}

// request reads the body and starts the handler, or answers at once that it
// will not.
func (c *caller) request(call wire.Call, br *bufio.Reader) error {
	received := time.Now()
	entry, refusal := c.authorize(call)
	if refusal == nil {
		refusal = c.takeSlot()
	}
	if refusal != nil {
		if _, err := io.CopyN(io.Discard, br, int64(call.BodySize)); err != nil {
			return noEOF(err)
		}
		return c.answer(c.ctx, call.ID, nil, refusal, received)
	}
	held := int64(0)
	if call.BodySize >= smallBody {
		held = int64(call.BodySize)
		if err := c.h.serveMem.Acquire(c.ctx, held); err != nil {
			c.r.calls.Add(-1)
			return err
		}
	}
	release := func() {
		c.r.calls.Add(-1)
		if held > 0 {
			c.h.serveMem.Release(held)
		}
	}
	body := make([]byte, call.BodySize)
	if _, err := io.ReadFull(br, body); err != nil {
		release()
		return noEOF(err)
	}
	ctx, err := c.begin(call)
	if err != nil {
		release()
		return err
	}
	if !c.h.goWork(func() {
		defer release()
		out, err := entry.fn(ctx, c.from, body)
		c.cancel(call.ID)
		_ = c.answer(c.ctx, call.ID, out, err, received) // the caller may have left
	}) {
		release()
		return closedError("p2p.serve")
	}
	return nil
}

// authorize finds the handler and checks that the caller may use it.
func (c *caller) authorize(call wire.Call) (handlerEntry, error) {
	const op = "p2p.serve"
	v, ok := c.h.handlers.Load(call.Method)
	if !ok {
		return handlerEntry{}, api.Errorf(op, api.Unsupported, "this node has no method "+call.Method)
	}
	entry := v.(handlerEntry)
	if entry.member && (!c.member || !c.h.cfg.Member(c.from)) {
		c.h.counts.refused.Add(1)
		return entry, api.Errorf(op, api.Denied, "not a member of this mesh; join with an invite from its owner")
	}
	if !c.member && call.BodySize > strangerBody {
		return entry, api.Errorf(op, api.Exhausted, "the request is larger than a node that is no member may send")
	}
	return entry, nil
}

func (c *caller) takeSlot() error {
	limit := int64(c.h.cfg.Limits.Calls)
	if !c.member {
		limit = strangerCalls
	}
	if c.r.calls.Add(1) > limit {
		c.r.calls.Add(-1)
		return api.Errorf("p2p.serve", api.Exhausted, "too many calls from this node are running here; wait for some to end")
	}
	return nil
}

// begin records a running call so that it can be canceled.
func (c *caller) begin(call wire.Call) (context.Context, error) {
	limit := time.Duration(call.TimeoutMS) * time.Millisecond
	if limit == 0 {
		limit = maxCallTime
	}
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[call.ID] != nil {
		cancel()
		return nil, api.Errorf("p2p.serve", api.Invalid, "two calls have one number")
	}
	c.open[call.ID] = cancel
	return ctx, nil
}

func (c *caller) cancel(id uint64) {
	c.mu.Lock()
	cancel := c.open[id]
	delete(c.open, id)
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// answer queues a response.
func (c *caller) answer(ctx context.Context, id uint64, body []byte, failure error, received time.Time) error {
	c.h.counts.answered.Add(1)
	if failure == nil && len(body) > wire.MaxBody {
		failure = api.Errorf("p2p.serve", api.Exhausted, "the answer is larger than 4 MiB")
	}
	head := wire.Call{Type: wire.CallResponse, ID: id}
	head.ServiceUS = uint32(min(time.Since(received).Microseconds(), math.MaxUint32))
	if failure != nil {
		body = nil
		head.Failed, head.Kind, head.Message = true, api.KindOf(failure), messageOf(failure)
	}
	head.BodySize = uint32(len(body))
	msg, err := wire.EncodeCall(head)
	if err != nil {
		return err
	}
	return c.out.put(ctx, msg, body)
}
