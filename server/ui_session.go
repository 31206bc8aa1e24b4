package server

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"inos/kernel/api"
)

// Bounds of signing in.
const (
	maxSignIns   = 16             // unused links; the oldest goes first
	signInTime   = 24 * time.Hour // a link's life: `inos up` prints one that is used when somebody looks
	maxSessions  = 32             // browsers signed in; the one unused for longest goes first
	sessionTime  = 30 * 24 * time.Hour
	touchEvery   = time.Hour // how stale the file's note of a session's last use may be
	maxSessionIO = 64 << 10  // bytes of the sessions' file

	pageKeyHeader = "Inos-Page"
)

type digest = [32]byte

// session is one signed-in browser. Secrets are kept as SHA-256.
type session struct {
	Cookie  digest    `json:"cookie"`
	Key     digest    `json:"key"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"`
}

// sessions are the browsers that are signed in, kept in a file so that a
// restart of the node signs nobody out, and the links that are not used yet,
// which a restart voids.
type sessions struct {
	path string // empty: in memory only

	mu      sync.Mutex
	open    []session     // mu; at most maxSessions
	pending []pendingLink // mu; at most maxSignIns, oldest first
}

type pendingLink struct {
	token   digest
	expires time.Time
}

// openSessions reads the file. One that does not parse is treated as empty:
// everybody signs in again.
func openSessions(path string) (*sessions, error) {
	s := &sessions{path: path}
	if path == "" {
		return s, nil
	}
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, api.E("server.sessions", api.Denied, err)
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, api.Errorf("server.sessions", api.Denied, "others can read "+path+"; run: chmod 600 "+path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, api.E("server.sessions", api.Denied, err)
	}
	var open []session
	if len(raw) <= maxSessionIO && json.Unmarshal(raw, &open) == nil && len(open) <= maxSessions {
		s.open = open
	}
	return s, nil
}

func secret() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // crypto/rand.Read never fails; it ends the process instead
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// invite makes a one-time token.
func (s *sessions) invite() (token string, expires time.Time) {
	token, expires = secret(), time.Now().Add(signInTime)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == maxSignIns {
		s.pending = s.pending[1:]
	}
	s.pending = append(s.pending, pendingLink{hashToken(token), expires})
	return token, expires
}

// redeem exchanges a token for a session, once.
func (s *sessions) redeem(token string) (cookie, key string, err error) {
	given, now := hashToken(token), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.pending {
		if subtle.ConstantTimeCompare(p.token[:], given[:]) != 1 {
			continue
		}
		s.pending = append(s.pending[:i], s.pending[i+1:]...)
		if now.After(p.expires) {
			break
		}
		cookie, key = secret(), secret()
		if len(s.open) == maxSessions {
			s.drop(s.oldest())
		}
		s.open = append(s.open, session{Cookie: hashToken(cookie), Key: hashToken(key), Created: now, Used: now})
		return cookie, key, s.save()
	}
	return "", "", api.Errorf("server.signin", api.Unverified, "this sign-in link was used or has expired; run `inos ui` for a new one")
}

// oldest is the index of the session unused for longest. s.mu is held.
func (s *sessions) oldest() int {
	at := 0
	for i := range s.open {
		if s.open[i].Used.Before(s.open[at].Used) {
			at = i
		}
	}
	return at
}

// drop removes a session. s.mu is held.
func (s *sessions) drop(i int) { s.open = append(s.open[:i], s.open[i+1:]...) }

// find returns the index of the session with this cookie, -1 for none. s.mu is
// held. The digests are of random secrets, so the time of comparing them tells
// nothing that helps to guess one.
func (s *sessions) find(r *http.Request, name string) int {
	c, err := r.Cookie(name)
	if err != nil {
		return -1
	}
	given := hashToken(c.Value)
	for i := range s.open {
		if s.open[i].Cookie == given && time.Since(s.open[i].Created) < sessionTime {
			return i
		}
	}
	return -1
}

var errSignedOut = api.Errorf("server.page", api.Unverified, "you are not signed in; run `inos ui` and open the link it prints")

// check passes a request that carries a session's cookie and key.
func (s *sessions) check(r *http.Request, name string) error {
	given := hashToken(r.Header.Get(pageKeyHeader))
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(r, name)
	if i < 0 || subtle.ConstantTimeCompare(given[:], s.open[i].Key[:]) != 1 {
		return errSignedOut
	}
	if now := time.Now(); now.Sub(s.open[i].Used) > touchEvery {
		s.open[i].Used = now
		return s.save()
	}
	return nil
}

// checkCookie passes a request that carries a session's cookie: enough together
// with a ticket, which only the session could get.
func (s *sessions) checkCookie(r *http.Request, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(r, name) < 0 {
		return errSignedOut
	}
	return nil
}

// end signs a browser out.
func (s *sessions) end(r *http.Request, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(r, name); i >= 0 {
		s.drop(i)
	}
	return s.save()
}

// save writes the file whole, under a temporary name first. s.mu is held.
func (s *sessions) save() error {
	const op = "server.sessions"
	if s.path == "" {
		return nil
	}
	raw, err := json.Marshal(s.open)
	if err != nil {
		return api.E(op, api.Other, err)
	}
	f, err := os.CreateTemp(filepath.Dir(s.path), ".sessions-*") // mode 0600
	if err != nil {
		return api.E(op, api.Denied, err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(raw)
	if err := errors.Join(err, f.Close()); err != nil {
		return api.E(op, api.NoSpace, err)
	}
	if err := os.Rename(f.Name(), s.path); err != nil {
		return api.E(op, api.Denied, err)
	}
	return nil
}

// cookieName differs between nodes of one machine, whose ports share cookies.
func (p *page) cookieName() string {
	_, port, err := net.SplitHostPort(p.listener.Addr().String())
	if err != nil {
		port = "0"
	}
	return "inos-" + port
}

// sessionOpen exchanges a sign-in token. The answer's key is for the page's own
// storage and is asked for in a header of every request.
func (p *page) sessionOpen(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Token string `json:"token"`
	}
	if err := readJSON(w, r, 4<<10, &in); err != nil {
		writeError(w, err)
		return
	}
	if r.Header.Get("Origin") == "" {
		writeError(w, api.Errorf("server.signin", api.Denied, "sign in from the page"))
		return
	}
	cookie, key, err := p.sessions.redeem(in.Token)
	if err != nil {
		writeError(w, err)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: p.cookieName(), Value: cookie, Path: "/", MaxAge: int(sessionTime / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: strings.HasPrefix(r.Header.Get("Origin"), "https:"),
	})
	writeJSON(w, map[string]string{"key": key})
}

// sessionShow answers whoever asks whether it is still signed in.
func (p *page) sessionShow(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]bool{"signed_in": true})
}

func (p *page) sessionEnd(w http.ResponseWriter, r *http.Request) {
	if err := p.sessions.end(r, p.cookieName()); err != nil {
		writeError(w, err)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: p.cookieName(), Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.Header().Set("Clear-Site-Data", `"cache"`)
	w.WriteHeader(http.StatusNoContent)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the reader may be gone
}
