//go:build !js

package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"inos/kernel/api"
	kernel "inos/kernel/syscall"
)

// httpProxy is the service hostCall:http: requests to the origins that the
// node's owner lists. It is off when none is listed.
//
// Invariants:
//   - Every request, redirected ones included, goes to a listed origin.
//   - A connection is made only to an address that is not of a private network or
//     this machine, checked after the name was resolved, unless that is allowed.
//   - The request carries no cookie, token or address of this node's.
type httpProxy struct {
	origins []string // scheme://host:port, canonical; at most maxOrigins
	client  *http.Client
}

// Bounds of the service.
const (
	maxOrigins      = 256
	maxHTTPResponse = 1 << 20
	maxHTTPTime     = 10 * time.Second
	maxRedirects    = 5
)

func openHTTP(cfg SyscallConfig) (*httpProxy, error) {
	const op = "node.http"
	if len(cfg.HTTPOrigins) > maxOrigins {
		return nil, api.Errorf(op, api.Invalid, "at most 256 origins can be listed for modules")
	}
	p := &httpProxy{}
	for _, o := range cfg.HTTPOrigins {
		u, err := url.Parse(o)
		if err != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil || originOf(u) == "" {
			return nil, api.Errorf(op, api.Invalid, fmt.Sprintf("%q is not an origin such as https://api.example.org", o))
		}
		p.origins = append(p.origins, originOf(u))
	}
	dialer := &net.Dialer{Timeout: maxHTTPTime}
	if !cfg.HTTPPrivate {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return publicOnly(address) }
	}
	p.client = &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, MaxIdleConns: 16, MaxConnsPerHost: 8, IdleConnTimeout: 30 * time.Second,
			TLSHandshakeTimeout: maxHTTPTime, ResponseHeaderTimeout: maxHTTPTime, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= maxRedirects {
				return api.Errorf(op, api.Exhausted, "the server redirects more than 5 times")
			}
			return p.allowed(r.URL)
		},
		Timeout: maxHTTPTime,
	}
	return p, nil
}

// originOf is scheme, host and port in one form; "" for anything but HTTP.
func originOf(u *url.URL) string {
	port := u.Port()
	switch {
	case u.Hostname() == "":
		return ""
	case u.Scheme == "https" && port == "":
		port = "443"
	case u.Scheme == "http" && port == "":
		port = "80"
	case u.Scheme != "http" && u.Scheme != "https":
		return ""
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func (p *httpProxy) allowed(u *url.URL) error {
	if o := originOf(u); o == "" || u.User != nil || !slices.Contains(p.origins, o) {
		return api.Errorf("node.http", api.Denied, "this node lets modules reach listed origins only, and this is none")
	}
	return nil
}

// special are ranges that are neither private nor public by net/netip's word.
// Of IPv6, only what is allocated as global unicast is public: everything else
// that is routed somewhere leads to an IPv4 address or into a network.
var (
	special = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
	}
	global6 = netip.MustParsePrefix("2000::/3")
)

// publicOnly refuses addresses that only this machine or its network reach.
//
// Source: IANA's special-purpose address registries (RFC 6890).
func publicOnly(address string) error {
	const op = "node.http"
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return api.E(op, api.Denied, err)
	}
	a := ap.Addr().Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !global6.Contains(a) || slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return api.Errorf(op, api.Denied, "the origin is at an address of a private network, which this node does not let modules reach")
	}
	return nil
}

// methods of the operations.
var httpMethods = map[string]string{
	"get": http.MethodGet, "head": http.MethodHead, "post": http.MethodPost, "put": http.MethodPut, "delete": http.MethodDelete,
}

func (p *httpProxy) serve(ctx context.Context, _ *kernel.Caller, operation, argument string, data []byte) (kernel.HostAnswer, error) {
	const op = "node.http"
	var none kernel.HostAnswer
	method := httpMethods[operation]
	if method == "" {
		return none, api.Errorf(op, api.Unsupported, "http has the operations get, head, post, put and delete")
	}
	u, err := url.Parse(argument)
	if err != nil {
		return none, api.Errorf(op, api.Invalid, "the argument is not a URL")
	}
	if err := p.allowed(u); err != nil {
		return none, err
	}
	// A copy: the transport may read the body after the answer is here, and the
	// guest's memory is gone then.
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(bytes.Clone(data)))
	if err != nil {
		return none, api.E(op, api.Invalid, err)
	}
	req.Header.Set("User-Agent", "inos")
	if len(data) > 0 {
		req.Header.Set("Content-Type", "application/octet-stream")
		if json.Valid(data) {
			req.Header.Set("Content-Type", "application/json")
		}
	}
	res, err := p.client.Do(req)
	if err != nil {
		return none, httpError(ctx, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxHTTPResponse+1))
	if err != nil {
		return none, httpError(ctx, err)
	}
	if len(body) > maxHTTPResponse {
		return none, api.Errorf(op, api.Exhausted, "the response has more than 1 MiB")
	}
	return kernel.HostAnswer{Code: uint32(res.StatusCode), Detail: strings.ToValidUTF8(res.Header.Get("Content-Type"), "?"), Data: body}, nil
}

// httpError keeps the kind of a refusal and of the caller's own deadline.
func httpError(ctx context.Context, err error) error {
	const op = "node.http"
	var own *api.Error
	if errors.As(err, &own) {
		return own
	}
	if ctx.Err() != nil {
		return api.E(op, api.Other, ctx.Err())
	}
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return api.Errorf(op, api.Timeout, "the server did not answer in 10 s")
	}
	return api.Errorf(op, api.Unavailable, "the server cannot be reached")
}
