package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"inos/kernel/api"
)

// Config says where to listen. At least one of Socket and TCP is set.
type Config struct {
	Socket    string       // path of the Unix socket; empty for none
	TCP       string       // loopback host:port, port 0 for any; empty for none
	TokenFile string       // bearer token for TCP, created with mode 0600 when missing
	Origins   []string     // browser origins allowed over TCP besides the server's own
	Version   string       // shown in the OpenAPI document
	Log       *slog.Logger // nil discards

	Settings []api.Setting // what GET /v1/settings answers; not changed afterwards

	Page         string               // loopback host:port of the web page; empty for none
	PageSessions string               // file of the browsers that are signed in; empty keeps them in memory
	Recent       func() []api.LogLine // newest lines of the log, oldest first; nil for none
}

// Bounds of the server. Requests beyond a bound wait at most queueWait, then
// get api.Exhausted.
const (
	maxConns    = 1024 // connections per listener; more wait in the kernel's backlog
	maxRequests = 512  // requests being answered, streams included
	queueWait   = 5 * time.Second
	maxHeader   = 64 << 10

	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	requestTimeout = time.Minute // for requests that do not stream
)

// Server serves a Backend. Create it with Open.
type Server struct {
	backend Backend
	cfg     Config
	log     *slog.Logger
	http    *http.Server
	token   [32]byte // SHA-256 of the bearer token, when TCP is open

	unix *unixListener // nil when not configured
	tcp  net.Listener  // nil when not configured
	page *page         // nil when not configured

	routed  http.Handler // every route, behind no guard
	uploads *uploads
	base    context.Context // of every request and upload

	slots    chan struct{} // one token per request being answered
	draining context.Context
	drain    context.CancelFunc // ends event streams
	abort    context.CancelFunc // ends every request

	closeOnce sync.Once
}

// Open binds the configured listeners, so that a taken port or socket is known
// at once. It serves nothing before Serve. Errors: Exists when another node
// answers on the socket or the port is taken; Invalid for a path too long or an
// address that is not loopback; Denied for a token file others can read.
func Open(b Backend, cfg Config) (*Server, error) {
	if cfg.Socket == "" && cfg.TCP == "" {
		return nil, api.Errorf("server.open", api.Invalid, "the server needs a socket path or an address to listen on")
	}
	s := newServer(b, cfg)
	if err := s.listen(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func newServer(b Backend, cfg Config) *Server {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{backend: b, cfg: cfg, log: log, slots: make(chan struct{}, maxRequests)}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.base, s.abort = context.WithCancel(context.Background())
	s.uploads = newUploads(s.base, b)
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		WriteTimeout:      writeTimeout, // renewed by every write of a stream
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ConnContext:       markConn,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

func (s *Server) listen() error {
	if s.cfg.Socket != "" {
		l, err := listenUnix(s.cfg.Socket)
		if err != nil {
			return err
		}
		s.unix = l
	}
	if s.cfg.TCP != "" {
		if err := s.listenTCP(); err != nil {
			return err
		}
	}
	if s.cfg.Page != "" {
		return s.listenPage()
	}
	return nil
}

// URL is the base URL of the TCP listener, or "" without one.
func (s *Server) URL() string {
	if s.tcp == nil {
		return ""
	}
	return "http://" + s.tcp.Addr().String()
}

// Serve answers requests until Shutdown and then returns nil.
func (s *Server) Serve() error {
	var listeners []net.Listener
	if s.unix != nil {
		listeners = append(listeners, s.unix)
	}
	if s.tcp != nil {
		listeners = append(listeners, s.tcp)
	}
	serving := len(listeners)
	errs := make(chan error, serving+1)
	for _, l := range listeners {
		go func() { errs <- s.http.Serve(newLimitListener(l, maxConns)) }()
	}
	if s.page != nil {
		serving++
		go func() { errs <- s.page.http.Serve(newLimitListener(s.page.listener, maxConns)) }()
	}
	var first error
	for range serving {
		err := <-errs
		if errors.Is(err, http.ErrServerClosed) {
			continue
		}
		if first == nil {
			first = api.E("server.serve", api.Other, err)
		}
		s.close() // the other listener must not go on alone
	}
	return first
}

// Shutdown stops accepting, ends event streams, lets other requests finish
// until ctx ends, then cuts them off. It removes the socket. It may be called
// more than once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	err := s.http.Shutdown(ctx)
	if s.page != nil {
		err = errors.Join(err, s.page.http.Shutdown(ctx))
	}
	s.close()
	if err != nil {
		return api.E("server.shutdown", api.KindOf(err), err)
	}
	return nil
}

func (s *Server) close() {
	s.closeOnce.Do(func() {
		s.drain()
		s.abort()
		_ = s.http.Close() // closes the listeners it serves; the rest below
		if s.unix != nil {
			_ = s.unix.Close()
		}
		if s.tcp != nil {
			_ = s.tcp.Close()
		}
		if s.page != nil {
			_ = s.page.http.Close()
			_ = s.page.listener.Close()
		}
	})
}

// acquire takes a slot for one request.
func (s *Server) acquire(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	default:
	}
	t := time.NewTimer(queueWait)
	defer t.Stop()
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return api.E("server.queue", api.Canceled, ctx.Err())
	case <-t.C:
		return api.Errorf("server.queue", api.Exhausted, "the node is answering too many requests; try again in a moment")
	}
}

func (s *Server) release() { <-s.slots }
