package server_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"inos/kernel/api"
	"inos/server"
	"inos/server/servertest"
)

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "sub", "s")
	open := func() (*server.Server, error) {
		return server.Open(servertest.New(), server.Config{Socket: sock})
	}
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Lstat(sock); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatal(fi, err)
	}
	if _, err := open(); !errors.Is(err, api.Exists) {
		t.Fatalf("a second server on a living socket: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A dead process leaves its socket behind.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: sock, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if s, err = open(); err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	_ = s.Shutdown(t.Context())
	// Something else with that name is not ours to remove.
	if err := os.WriteFile(sock, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); !errors.Is(err, api.Exists) {
		t.Fatal(err)
	}
	sock = filepath.Join(dir, strings.Repeat("x", 120))
	if _, err := open(); !errors.Is(err, api.Invalid) {
		t.Fatal(err)
	}
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dir := t.TempDir()
	cfg := server.Config{Socket: filepath.Join(dir, "s"), TCP: l.Addr().String(), TokenFile: filepath.Join(dir, "t")}
	if _, err := server.Open(servertest.New(), cfg); !errors.Is(err, api.Exists) {
		t.Fatal(err)
	}
	if _, err := os.Lstat(cfg.Socket); !errors.Is(err, syscall.ENOENT) {
		t.Fatal("the socket of a server that did not open is left behind")
	}
	for _, addr := range []string{"0.0.0.0:0", ":0", "example.org:80", "nonsense"} {
		cfg.TCP = addr
		if _, err := server.Open(servertest.New(), cfg); !errors.Is(err, api.Invalid) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
