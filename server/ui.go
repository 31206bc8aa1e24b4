package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"inos/kernel/api"
)

// DefaultPage is where the page listens when nothing else is asked for and the
// port is free. A fixed port keeps the page's origin, and with it what the
// browser remembers, across restarts.
const DefaultPage = "127.0.0.1:4270"

// page is the listener that browsers use: the page's files, and the API behind
// a session instead of the token.
//
// Invariants:
//   - Nothing but the page's own files and the exchange of a sign-in token is
//     answered without a session, which needs both a cookie that scripts cannot
//     read and a key that only the page's origin has. Cookies are shared by all
//     ports of a host, so the cookie alone proves nothing on a shared machine.
//   - Every answer carries the headers of dress. Bytes that users stored are
//     never served as something that runs in the page's origin.
type page struct {
	s        *Server
	listener net.Listener
	http     *http.Server
	sessions *sessions
	tickets  *tickets
	assets   *assets
}

type pageConn struct{}

// fromPage tells whether a request came through the page's listener.
func fromPage(ctx context.Context) bool {
	v, _ := ctx.Value(pageConn{}).(bool)
	return v
}

// unixPage marks the path of a Unix socket among page addresses.
const unixPage = "unix:"

// bindPage listens on a page address: host:port on loopback, or unix:PATH for a
// proxy of the same user, whose address is then one of the origins. The default
// address gives way to any free port when it is taken; one that was asked for
// does not.
func bindPage(addr string) (net.Listener, error) {
	const op = "server.page"
	if path, ok := strings.CutPrefix(addr, unixPage); ok {
		return listenUnix(path)
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, api.Errorf(op, api.Invalid, "the page's address is host:port, such as "+DefaultPage+", or "+unixPage+"PATH")
	}
	if !isLoopback(host) {
		return nil, api.Errorf(op, api.Invalid, "the page listens on loopback only (127.0.0.1, ::1 or localhost); to reach it from elsewhere use an SSH tunnel or a proxy with TLS")
	}
	l, err := net.Listen("tcp", addr)
	if addr == DefaultPage && errors.Is(err, syscall.EADDRINUSE) {
		l, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, bindError(op, addr, err)
	}
	return l, nil
}

// listenPage binds the page's address.
func (s *Server) listenPage() error {
	store, err := openSessions(s.cfg.PageSessions)
	if err != nil {
		return err
	}
	files, err := openAssets(s.reach)
	if err != nil {
		return err
	}
	l, err := bindPage(s.cfg.Page)
	if err != nil {
		return err
	}
	p := &page{s: s, listener: l, sessions: store, tickets: newTickets(), assets: files}
	p.http = &http.Server{
		Handler:           p.handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		WriteTimeout:      writeTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(s.base, pageConn{}, true)
		},
		ErrorLog: s.http.ErrorLog,
	}
	s.page = p
	return nil
}

// PageURL is the page's address, or "" when the server has none: the first of the
// origins when a proxy stands before a Unix socket. Opening it needs a sign-in;
// see SignIn.
func (s *Server) PageURL() string {
	if s.page == nil {
		return ""
	}
	if s.page.listener.Addr().Network() == "unix" {
		if len(s.cfg.Origins) == 0 {
			return "http://localhost/"
		}
		return strings.TrimSuffix(s.cfg.Origins[0], "/") + "/"
	}
	return "http://" + s.page.listener.Addr().String() + "/"
}

// SignIn makes a one-time link that signs a browser in to the page. The secret
// is in the fragment, which browsers send to nobody. Errors: Unsupported when
// the server has no page.
func (s *Server) SignIn() (api.SignIn, error) {
	if s.page == nil {
		return api.SignIn{}, api.Errorf("server.signin", api.Unsupported, "this node serves no page; start it without --ui-listen off")
	}
	token, expires := s.page.sessions.invite()
	return api.SignIn{URL: s.PageURL() + "#sign-in=" + token, Expires: expires.Unix()}, nil
}

// handler routes the page's requests. The API is the one of the other
// listeners, behind the page's guards.
func (p *page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page/session", p.guarded(p.sessionShow))
	mux.HandleFunc("POST /page/session", p.sessionOpen)
	mux.HandleFunc("DELETE /page/session", p.guarded(p.sessionEnd))
	mux.HandleFunc("GET /page/raw/{ticket}/{name}", p.raw)
	for _, path := range []string{"/v1/", "/openapi.json", "/metrics", "/healthz"} {
		mux.HandleFunc(path, p.guarded(p.s.routed.ServeHTTP))
	}
	mux.HandleFunc("/", p.assets.serve)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dress(w.Header())
		if err := p.s.sameSite(r); err != nil {
			writeError(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// contentPolicy lets the page load its own files and nothing else, run no
// inline script or style, and compile WebAssembly. Nobody may frame it. Only the
// network worker connects to more than the page's own origin: see networkPolicy.
const contentPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; " +
	"img-src 'self' blob:; media-src 'self' blob:; font-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'"

// networkPolicy is that of the thread which connects to the mesh: it reaches the
// mesh's nodes too.
func networkPolicy(reach []string) string {
	return strings.Join(append([]string{contentPolicy}, reach...), " ")
}

// reach is what a tab connects to beside the page's own origin.
func (s *Server) reach() []string {
	if r, ok := s.backend.(Reacher); ok {
		return r.TabSources()
	}
	return nil
}

// dress sets the headers that every answer to a browser has: the policy,
// cross-origin isolation (which shared memory needs), and no guessing of types.
func dress(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(self), microphone=(self), geolocation=(self), payment=(), usb=()")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// sameSite refuses what another site sends: a Host that is not this machine
// (DNS rebinding) and an Origin that is not the page's (cross-site requests).
// A browser's own word on where a request comes from is believed when it gives
// one; a page on another port of this machine is "same-site" and refused too.
func (s *Server) sameSite(r *http.Request) error {
	const op = "server.page"
	if !isLoopback(hostOnly(r.Host)) && !s.hostAllowed(r.Host) {
		return api.Errorf(op, api.Denied, "the page is at localhost or a loopback address; a proxy's address is named with --origins")
	}
	if origin := r.Header.Get("Origin"); origin != "" && !s.originAllowed(origin, r.Host) {
		return api.Errorf(op, api.Denied, "pages of this origin may not use the node")
	}
	site := r.Header.Get("Sec-Fetch-Site")
	switch {
	case site == "" || site == "same-origin" || site == "none":
		return nil
	case r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && !strings.HasPrefix(r.URL.Path, "/page/") && !strings.HasPrefix(r.URL.Path, "/v1/"):
		return nil // a link to the page from elsewhere; Strict cookies stay at home
	}
	return api.Errorf(op, api.Denied, "pages of other sites may not use the node")
}

// hostAllowed accepts the hosts of the origins that the owner listed.
func (s *Server) hostAllowed(host string) bool {
	return slices.ContainsFunc(s.cfg.Origins, func(o string) bool {
		u, err := url.Parse(o)
		return err == nil && u.Host == host
	})
}

// guarded lets a request with a session pass.
func (p *page) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		duplex(w, r)
		if err := p.sessions.check(r, p.cookieName()); err != nil {
			writeError(w, err)
			return
		}
		if err := p.s.acquire(r.Context()); err != nil {
			writeError(w, err)
			return
		}
		defer p.s.release()
		next(w, r)
	}
}
