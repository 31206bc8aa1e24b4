package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"inos/kernel/api"
)

// maxToken bounds a token file; one made here has 43 characters.
const (
	minToken = 16
	maxToken = 512
)

type connKey struct{}

// markConn remembers whether a connection came over the Unix socket, whose
// permissions have already said who may speak.
func markConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c.LocalAddr().Network() == "unix")
}

// authorize lets a request pass or answers it.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) bool {
	if local, _ := r.Context().Value(connKey{}).(bool); local {
		return true
	}
	if err := s.check(r); err != nil {
		writeError(w, err)
		return false
	}
	return true
}

// check guards the TCP listener. The Host check defeats DNS rebinding, the
// Origin check other pages in the owner's browser, the token everybody else on
// the machine.
func (s *Server) check(r *http.Request) error {
	const op = "server.auth"
	if !isLoopback(hostOnly(r.Host)) {
		return api.Errorf(op, api.Denied, "the Host of a request is localhost or a loopback address")
	}
	if origin := r.Header.Get("Origin"); origin != "" && !s.originAllowed(origin, r.Host) {
		return api.Errorf(op, api.Denied, "pages of this origin may not use the API")
	}
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Header.Get("Origin") == "" {
		return api.Errorf(op, api.Denied, "pages of other sites may not use the API")
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	given := hashToken(token)
	if !ok || subtle.ConstantTimeCompare(given[:], s.token[:]) != 1 {
		return api.Errorf(op, api.Unverified, "this needs the node's token: Authorization: Bearer TOKEN, from the file that `inos config` names")
	}
	return nil
}

func (s *Server) originAllowed(origin, host string) bool {
	if slices.Contains(s.cfg.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Scheme == "http" && u.Host == host
}

func hostOnly(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// isLoopback accepts literal loopback addresses and the name localhost, never a
// name that a resolver would decide.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// hashToken makes tokens of any length comparable in constant time.
func hashToken(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// loadToken reads the token file, or makes one.
func loadToken(path string) (string, error) {
	const op = "server.token"
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createToken(path)
	}
	if err != nil {
		return "", api.E(op, api.Denied, err)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return "", api.Errorf(op, api.Denied, fmt.Sprintf("others can read %s; run: chmod 600 %s", path, path))
	}
	if fi.Size() > maxToken {
		return "", api.Errorf(op, api.Invalid, path+" is too long for a token; remove it to have a new one made")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", api.E(op, api.Denied, err)
	}
	token := strings.TrimSpace(string(raw))
	if len(token) < minToken {
		return "", api.Errorf(op, api.Invalid, path+" is too short for a token; remove it to have a new one made")
	}
	return token, nil
}

// createToken writes a fresh token under a temporary name and moves it into
// place, so that the file is never half written.
func createToken(path string) (string, error) {
	const op = "server.token"
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // crypto/rand.Read never fails; it ends the process instead
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", api.E(op, api.Denied, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".token-*") // mode 0600
	if err != nil {
		return "", api.E(op, api.Denied, err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(token + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", api.E(op, api.NoSpace, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", api.E(op, api.Denied, err)
	}
	return token, nil
}
