package tab

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"sync"

	"inos/kernel/api"
)

func asError(err error, to **api.Error) bool { return errors.As(err, to) }

// call is one call of the page.
type call struct {
	s      *session
	id     uint32
	ctx    context.Context
	cancel context.CancelFunc
	args   json.RawMessage
	body   *body

	mu    sync.Mutex
	room  int           // guarded by mu; output bytes that the page has room for
	freed chan struct{} // capacity 1: room grew
}

// session is one page's connection.
type session struct {
	conn Conn
	host Host
	ctx  context.Context

	refusals chan refusal // at most maxCalls; a page that reads none of them is not heard further

	mu     sync.Mutex
	calls  map[uint32]*call // guarded by mu; at most maxCalls
	ending int              // guarded by mu; calls whose last word is being sent; at most 2*maxCalls
	wg     sync.WaitGroup
}

// refusal is the answer to a call that does not run.
type refusal struct {
	id  uint32
	why error
}

// Serve answers the calls on conn until it or ctx ends, and returns when every
// call has ended. The error is the connection's, nil when ctx ended.
func Serve(ctx context.Context, conn Conn, host Host) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &session{conn: conn, host: host, ctx: ctx, refusals: make(chan refusal, maxCalls), calls: map[uint32]*call{}}
	defer s.wg.Wait()
	defer cancel()
	s.wg.Go(s.refuse)
	for {
		m, err := conn.Receive(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if len(m) >= frameHead {
			s.message(m[0], binary.LittleEndian.Uint32(m[1:]), m[frameHead:])
		}
	}
}

// message takes one message. payload is valid until it returns.
func (s *session) message(kind byte, id uint32, payload []byte) {
	if kind == kindCall {
		s.begin(id, payload)
		return
	}
	s.mu.Lock()
	c := s.calls[id]
	s.mu.Unlock()
	if c == nil {
		return // it has ended
	}
	switch kind {
	case kindBody:
		if c.body.add(payload) != nil {
			c.cancel()
		}
	case kindBodyEnd:
		c.body.finish()
	case kindCancel:
		c.cancel()
	case kindTaken:
		if len(payload) == 4 {
			c.grant(int(binary.LittleEndian.Uint32(payload)))
		}
	}
}

// refuse sends refusals until the connection ends.
func (s *session) refuse() {
	for {
		select {
		case r := <-s.refusals:
			_ = sendJSON(s.ctx, s.conn, kindFailure, r.id, failureOf(r.why))
		case <-s.ctx.Done():
			return
		}
	}
}

// begin starts a call, or has it refused.
func (s *session) begin(id uint32, payload []byte) {
	var q struct {
		Method string          `json:"method"`
		Args   json.RawMessage `json:"args"`
	}
	err := json.Unmarshal(payload, &q)
	if err != nil {
		err = api.E("tab.call", api.Invalid, err)
	}
	fn := methods[q.Method]
	if err == nil && fn == nil {
		err = api.Errorf("tab.call", api.Unsupported, "a tab's node has no method "+q.Method)
	}
	c := &call{s: s, id: id, args: append(json.RawMessage(nil), q.Args...), room: Window, freed: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.body = newBody(c.ctx, c.bodyTaken)
	if err == nil {
		err = s.admit(c)
	}
	if err != nil {
		c.cancel()
		select {
		case s.refusals <- refusal{id, err}:
		case <-s.ctx.Done():
		}
		return
	}
	s.wg.Go(func() {
		defer c.cancel()
		c.run(fn)
	})
}

// admit counts a call among those that run.
func (s *session) admit(c *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.calls[c.id] != nil:
		return api.Errorf("tab.call", api.Exists, "this number is in use")
	case len(s.calls) >= maxCalls:
		return api.Errorf("tab.call", api.Exhausted, "64 calls are running; wait for one")
	case s.ending >= maxCalls:
		return api.Errorf("tab.call", api.Exhausted, "64 answers wait for the page to read them")
	}
	s.calls[c.id] = c
	return nil
}

// end takes a call from those that run, before its last word is sent; sent follows.
func (s *session) end(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, c.id)
	s.ending++
}

func (s *session) sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending--
}

func (c *call) run(fn method) {
	v, err := fn(c)
	s := c.s
	s.end(c)
	defer s.sent()
	if err == nil {
		if err = sendJSON(s.ctx, s.conn, kindResult, c.id, v); err == nil {
			return
		}
	}
	_ = sendJSON(s.ctx, s.conn, kindFailure, c.id, failureOf(err))
}

// item sends one value beside the result.
func (c *call) item(v any) error { return sendJSON(c.ctx, c.s.conn, kindItem, c.id, v) }

func (c *call) bodyTaken(n int) {
	_ = c.s.conn.Send(c.ctx, head(kindBodyTaken, c.id), binary.LittleEndian.AppendUint32(nil, uint32(n)))
}

func (c *call) grant(n int) {
	c.mu.Lock()
	c.room = min(c.room+n, Window)
	c.mu.Unlock()
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

// Write implements io.Writer: it sends output and waits while the page has no room.
func (c *call) Write(p []byte) (int, error) {
	for sent := 0; sent < len(p); {
		c.mu.Lock()
		n := min(len(p)-sent, piece, c.room)
		c.room -= n
		c.mu.Unlock()
		if n == 0 {
			select {
			case <-c.freed:
				continue
			case <-c.ctx.Done():
				return sent, api.E("tab.output", api.Other, c.ctx.Err())
			}
		}
		if err := c.s.conn.Send(c.ctx, head(kindOutput, c.id), p[sent:sent+n]); err != nil {
			return sent, err
		}
		sent += n
	}
	return len(p), nil
}
