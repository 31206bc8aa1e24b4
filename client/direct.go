package client

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"inos/kernel/api"
)

const (
	// maxDirectBody bounds the request bodies that direct sends: what a socket takes
	// in one write, so that nobody needs to read an answer meanwhile.
	maxDirectBody = 64 << 10
	// maxInterim bounds the answers with a status of 1xx that precede the real one.
	maxInterim = 5
)

// direct sends small requests and reads their answers on the caller's own
// goroutine. net/http's transport hands each of them through two others, which
// takes longer than a quick job. What is large or streams upwards goes to it.
//
// Invariants:
//   - A line is in idle, or belongs to one request until its answer was read to
//     the end or given up; only the first goes back to idle.
//   - A request is written once, to a line that was open just before. It is never
//     sent again: what became of it when that line broke, only the node knows.
type direct struct {
	dial func(context.Context) (net.Conn, error)
	rest *http.Transport

	mu   sync.Mutex
	idle []*line // guarded by mu; at most maxIdleConns, none older than idleTimeout when one is added, the last used last
}

// line is an open connection.
type line struct {
	conn  net.Conn
	r     *bufio.Reader
	w     *bufio.Writer
	since time.Time // when it became idle
}

func newLine(c net.Conn) *line {
	return &line{conn: c, r: bufio.NewReaderSize(c, bufferSize), w: bufio.NewWriterSize(c, 8<<10)}
}

// RoundTrip implements http.RoundTripper.
func (d *direct) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil && req.Body != http.NoBody && (req.ContentLength <= 0 || req.ContentLength > maxDirectBody) {
		return d.rest.RoundTrip(req)
	}
	l, err := (*line)(nil), req.Context().Err()
	if err == nil {
		l, err = d.take(req.Context())
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	stop := context.AfterFunc(req.Context(), func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	res, err := l.exchange(req)
	if err != nil {
		stop()
		_ = l.conn.Close()
		return nil, err
	}
	res.Body = &answer{body: res.Body, line: l, of: d, stop: stop, reuse: !res.Close && !req.Close}
	return res, nil
}

// exchange writes a request and reads the head of its answer.
func (l *line) exchange(req *http.Request) (*http.Response, error) {
	if err := req.Write(l.w); err != nil {
		return nil, err
	}
	if err := l.w.Flush(); err != nil {
		return nil, err
	}
	for range maxInterim + 1 {
		res, err := http.ReadResponse(l.r, req)
		if err != nil || res.StatusCode >= 200 {
			return res, err
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			break // nobody asked for another
		}
	}
	return nil, api.Errorf("client.exchange", api.Unavailable, "the answer is not a node's: only statuses of 1xx")
}

// take returns an idle line that is still open, or a new one.
func (d *direct) take(ctx context.Context) (*line, error) {
	for {
		d.mu.Lock()
		n := len(d.idle)
		if n == 0 {
			d.mu.Unlock()
			c, err := d.dial(ctx)
			if err != nil {
				return nil, err
			}
			return newLine(c), nil
		}
		l := d.idle[n-1]
		d.idle[n-1] = nil
		d.idle = d.idle[:n-1]
		d.mu.Unlock()
		if time.Since(l.since) < idleTimeout && l.r.Buffered() == 0 && quiet(l.conn) {
			return l, nil
		}
		_ = l.conn.Close()
	}
}

// give keeps a line for the next request, instead of those that nobody used for
// long: the node closes them too.
func (d *direct) give(l *line) {
	l.since = time.Now()
	d.mu.Lock()
	old := 0
	for old < len(d.idle) && (l.since.Sub(d.idle[old].since) >= idleTimeout || len(d.idle)-old >= maxIdleConns) {
		old++
	}
	gone := slices.Clone(d.idle[:old])
	d.idle = append(slices.Delete(d.idle, 0, old), l)
	d.mu.Unlock()
	for _, g := range gone {
		_ = g.conn.Close()
	}
}

// CloseIdleConnections closes what waits for a request.
func (d *direct) CloseIdleConnections() {
	d.mu.Lock()
	idle := d.idle
	d.idle = nil
	d.mu.Unlock()
	for _, l := range idle {
		_ = l.conn.Close()
	}
	d.rest.CloseIdleConnections()
}

// answer is a response's body that gives its line back at the end.
type answer struct {
	body  io.ReadCloser
	line  *line // nil once given back or closed
	of    *direct
	stop  func() bool
	reuse bool
}

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	if err == io.EOF {
		a.end(true)
	}
	return n, err
}

// Close implements io.Closer. An answer that was not read to its end takes its
// connection with it, which tells the node that nobody listens.
func (a *answer) Close() error {
	a.end(a.body == http.NoBody)
	return nil
}

func (a *answer) end(whole bool) {
	l := a.line
	if l == nil {
		return
	}
	a.line = nil
	if a.stop() && whole && a.reuse {
		a.of.give(l)
		return
	}
	_ = l.conn.Close()
}
