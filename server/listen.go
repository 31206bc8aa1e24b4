package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"inos/kernel/api"
)

// maxSocketPath is the longest path of a Unix socket that every system takes:
// sun_path has 104 bytes on the BSDs and macOS and 108 on Linux, ended by NUL.
const maxSocketPath = 103

// probeTimeout bounds the question whether a socket file has a living owner.
const probeTimeout = time.Second

// unixListener removes its own socket file on Close, and no other's.
type unixListener struct {
	*net.UnixListener
	path string
	file fs.FileInfo // the socket file as bound
	once sync.Once
	err  error
}

// listenUnix binds path with mode 0600, replacing a socket that nobody answers.
func listenUnix(path string) (*unixListener, error) {
	const op = "server.socket"
	if len(path) > maxSocketPath {
		return nil, api.Errorf(op, api.Invalid, fmt.Sprintf(
			"the socket path has %d bytes and the system takes %d; choose a shorter one with --socket", len(path), maxSocketPath))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, api.E(op, api.Denied, err)
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, bindError(op, path, err)
	}
	l.SetUnlinkOnClose(false)
	file, err := os.Lstat(path)
	if err == nil {
		// Between bind and chmod the umask alone guards the file; peerAllowed
		// refuses whoever slipped in.
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		_ = l.Close()
		return nil, api.E(op, api.Denied, err)
	}
	return &unixListener{UnixListener: l, path: path, file: file}, nil
}

// clearStale removes a socket file that a dead process left behind.
func clearStale(path string) error {
	const op = "server.socket"
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return api.E(op, api.Denied, err)
	}
	if fi.Mode().Type() != fs.ModeSocket {
		return api.Errorf(op, api.Exists, path+" exists and is not a socket; move it away or choose another with --socket")
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return api.Errorf(op, api.Exists, "a node already answers on "+path+"; stop it, or start another with --dir")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return api.E(op, api.Denied, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return api.E(op, api.Denied, err)
	}
	return nil
}

func bindError(op, where string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return api.Errorf(op, api.Exists, where+" is already in use; choose another, or stop the program that has it")
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return api.E(op, api.Denied, err)
	}
	return api.E(op, api.Unavailable, err)
}

// Accept refuses peers that are neither this user nor root.
func (l *unixListener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if peerAllowed(c) {
			return c, nil
		}
		_ = c.Close()
	}
}

// Close stops listening and removes the socket file if it is still ours.
func (l *unixListener) Close() error {
	l.once.Do(func() {
		if fi, err := os.Lstat(l.path); err == nil && os.SameFile(fi, l.file) {
			_ = os.Remove(l.path) // a file left behind is found stale at the next start
		}
		l.err = l.UnixListener.Close()
	})
	return l.err
}

// listenTCP binds a loopback address and readies the token.
func (s *Server) listenTCP() error {
	const op = "server.tcp"
	host, _, err := net.SplitHostPort(s.cfg.TCP)
	if err != nil {
		return api.Errorf(op, api.Invalid, "the API address is host:port, such as 127.0.0.1:4280")
	}
	if !isLoopback(host) {
		return api.Errorf(op, api.Invalid, "the API listens on loopback only (127.0.0.1, ::1 or localhost); to reach it from elsewhere use an SSH tunnel")
	}
	if s.cfg.TokenFile == "" {
		return api.Errorf(op, api.Invalid, "the API over TCP needs a token file")
	}
	token, err := loadToken(s.cfg.TokenFile)
	if err != nil {
		return err
	}
	s.token = hashToken(token)
	l, err := net.Listen("tcp", s.cfg.TCP)
	if err != nil {
		return bindError(op, s.cfg.TCP, err)
	}
	s.tcp = l
	return nil
}

// limitListener accepts at most n connections at a time; the rest wait in the
// kernel's backlog.
type limitListener struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

func newLimitListener(l net.Listener, n int) *limitListener {
	return &limitListener{Listener: l, slots: make(chan struct{}, n), done: make(chan struct{})}
}

func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, free: l.slots}, nil
}

func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

func (c *limitedConn) Close() error {
	c.once.Do(func() { <-c.free })
	return c.Conn.Close()
}
