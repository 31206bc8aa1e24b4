// Package client speaks to a running node over its Unix socket or, with a
// token, over HTTP.
//
// A Client has the methods of the node itself: server.Backend with a network in
// between. Errors are the node's own, so errors.Is(err, api.NotFound) works;
// api.Unavailable with op "client.dial" means that no node answers there.
//
// Invariants:
//   - A call that changes something is sent once. When it fails in transit it may
//     have happened; only the caller knows whether to ask again.
//   - Every method ends when its context does. None sets a deadline of its own.
//   - A stream that ends without its final item is an error, never a short answer.
package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"inos/kernel/api"
)

// Bounds of the client.
const (
	maxIdleConns = 64
	idleTimeout  = 90 * time.Second // below the server's, so that it never closes first
	dialTimeout  = 5 * time.Second
	bufferSize   = 64 << 10
	maxAnswer    = 64 << 20 // a short answer; the largest is a page of jobs
	maxProblem   = 64 << 10
	maxLine      = 4 << 20 // one line of a stream
)

// Client is safe for concurrent use. It keeps connections open for reuse.
type Client struct {
	http  *http.Client
	base  string // scheme and host, without a slash
	token string // empty over a Unix socket
	where string // for messages
}

// Unix returns a client of the node that listens on the socket at path. It does
// not connect yet.
func Unix(path string) *Client {
	d := &net.Dialer{Timeout: dialTimeout}
	return newClient("http://inos", "", path, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", path)
	})
}

// HTTP returns a client of the node at a base URL such as
// "http://127.0.0.1:4280", with its token.
func HTTP(base, token string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, api.Errorf("client.url", api.Invalid, "the node's URL looks like http://127.0.0.1:4280")
	}
	d := &net.Dialer{Timeout: dialTimeout}
	return newClient(strings.TrimSuffix(base, "/"), token, base, d.DialContext), nil
}

func newClient(base, token, where string, dial func(context.Context, string, string) (net.Conn, error)) *Client {
	rest := &http.Transport{
		DialContext:         dial,
		MaxIdleConns:        maxIdleConns,
		MaxIdleConnsPerHost: maxIdleConns,
		IdleConnTimeout:     idleTimeout,
		DisableCompression:  true,
		ReadBufferSize:      bufferSize,
		WriteBufferSize:     bufferSize,
	}
	c := &Client{base: base, token: token, where: where, http: &http.Client{
		Transport: rest,
		// A redirect would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if u, err := url.Parse(base); err == nil && u.Scheme == "http" {
		host := u.Host
		if u.Port() == "" {
			host = net.JoinHostPort(u.Hostname(), "80")
		}
		c.http.Transport = &direct{rest: rest, dial: func(ctx context.Context) (net.Conn, error) { return dial(ctx, "tcp", host) }}
	}
	return c
}

// Close closes idle connections. Requests in flight go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request describes one call.
type request struct {
	op     string // for errors, e.g. "client.status"
	method string
	path   string
	query  url.Values
	header http.Header
	body   io.Reader
}

// do sends a request and returns the answer if its status is 2xx. The caller
// closes its body.
func (c *Client) do(ctx context.Context, q request) (*http.Response, error) {
	target := c.base + q.path
	if len(q.query) > 0 {
		target += "?" + q.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, q.method, target, q.body)
	if err != nil {
		return nil, api.E(q.op, api.Invalid, err)
	}
	if q.header != nil {
		req.Header = q.header
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.transportError(ctx, q.op, err)
	}
	if res.StatusCode/100 != 2 {
		defer func() { _ = res.Body.Close() }()
		return nil, problemError(q.op, res)
	}
	return res, nil
}

// transportError classifies an error that is not the node's answer.
func (c *Client) transportError(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return api.E(op, api.KindOf(ctx.Err()), ctx.Err())
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return api.E("client.dial", api.Unavailable, &DialError{Where: c.where, Err: err})
	}
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // its text repeats the URL
	}
	return api.E(op, api.Unavailable, err)
}

// DialError says that no node answers at Where.
type DialError struct {
	Where string
	Err   error
}

func (e *DialError) Error() string {
	switch {
	case errors.Is(e.Err, fs.ErrNotExist), errors.Is(e.Err, syscall.ECONNREFUSED):
		return "no node is running at " + e.Where
	case errors.Is(e.Err, fs.ErrPermission):
		return "the node at " + e.Where + " belongs to another user"
	}
	return "cannot reach a node at " + e.Where + ": " + e.Err.Error()
}

func (e *DialError) Unwrap() error { return e.Err }

// problemError reads an error answer.
func problemError(op string, res *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	var p api.Problem
	if err != nil || json.Unmarshal(raw, &p) != nil || p.Kind == "" {
		return api.Errorf(op, api.Unavailable, "the answer is not a node's: "+res.Status)
	}
	return problem(op, &p)
}

func problem(op string, p *api.Problem) error {
	if p.Op != "" {
		op = p.Op
	}
	return api.Errorf(op, api.KindNamed(p.Kind), p.Detail)
}

// call sends in as JSON, unless nil, and reads the answer into out, unless nil.
func (c *Client) call(ctx context.Context, q request, in, out any) error {
	if in != nil {
		if err := q.json(in); err != nil {
			return err
		}
	}
	res, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if out == nil {
		return nil
	}
	body := io.LimitReader(res.Body, maxAnswer)
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return c.transportError(ctx, q.op, fmt.Errorf("the node's answer was cut off: %w", err))
	}
	_, _ = io.Copy(io.Discard, body) // to the end, so that the connection is kept
	return nil
}

func (q *request) json(in any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return api.E(q.op, api.Invalid, err)
	}
	q.body = bytes.NewReader(raw)
	q.header = http.Header{"Content-Type": {"application/json"}}
	return nil
}

// linkHeader carries a link's key, which must not stand in a URL.
func linkHeader(l api.Link) http.Header {
	h := http.Header{}
	if !l.Public() {
		h.Set("Inos-Key", base64.RawURLEncoding.EncodeToString(l.Key[:]))
	}
	return h
}

func objectPath(l api.Link, more string) string { return "/v1/objects/" + l.Root.String() + more }
