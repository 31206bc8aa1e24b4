package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"inos/client"
	"inos/kernel/api"
	"inos/server"
	"inos/server/servertest"
)

const testToken = "0123456789abcdefghij"

// tcpServer serves a fake over TCP with testToken.
func tcpServer(t *testing.T) *server.Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(testToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(servertest.New(), server.Config{TCP: "127.0.0.1:0", TokenFile: file, Origins: []string{"http://page.example"}})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	t.Cleanup(func() { _ = s.Shutdown(t.Context()) })
	return s
}

func tcpRequest(t *testing.T, s *server.Server, method, path string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tokenOf(t, s))
	return req
}

func TestTCPGuards(t *testing.T) {
	s := tcpServer(t)
	host := strings.TrimPrefix(s.URL(), "http://")
	for _, tc := range []struct {
		name   string
		edit   func(*http.Request)
		status int
	}{
		{"token", func(*http.Request) {}, 200},
		{"no token", func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"wrong token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+testToken+"x") }, 401},
		{"prefix of the token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+testToken[:10]) }, 401},
		{"empty token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") }, 401},
		{"basic", func(r *http.Request) { r.SetBasicAuth("inos", testToken) }, 401},
		{"localhost", func(r *http.Request) { r.Host = "localhost:1" }, 200},
		{"rebound name", func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"rebound name with port", func(r *http.Request) { r.Host = "evil.example:4280" }, 403},
		{"name like an address", func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }, 403},
		{"other address", func(r *http.Request) { r.Host = "10.0.0.1" }, 403},
		{"own origin", func(r *http.Request) { r.Header.Set("Origin", "http://"+host) }, 200},
		{"allowed origin", func(r *http.Request) { r.Header.Set("Origin", "http://page.example") }, 200},
		{"other origin", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		{"other port of this machine", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, 403},
		{"null origin", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"cross-site image", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+testToken)
		tc.edit(req)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != tc.status {
			t.Errorf("%s: status %d, want %d: %s", tc.name, res.StatusCode, tc.status, raw)
		}
		var p api.Problem
		if tc.status != 200 && (json.Unmarshal(raw, &p) != nil || p.Kind == "" || res.Header.Get("Content-Type") != "application/problem+json") {
			t.Errorf("%s: not a problem: %s", tc.name, raw)
		}
	}
}

func TestClientOverTCP(t *testing.T) {
	s := tcpServer(t)
	c, err := client.HTTP(s.URL(), testToken)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	o := put(t, c, "f", "over tcp")
	if got, _, err := get(t, c, api.GetRequest{Link: o.Link}); err != nil || got != "over tcp" {
		t.Fatal(got, err)
	}
	bad, err := client.HTTP(s.URL(), "nonsense")
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	// A large upload without the token is refused, not torn.
	if _, err := bad.Put(t.Context(), api.PutRequest{}, &endless{}, nil); !errors.Is(err, api.Unverified) {
		t.Fatal(err)
	}
	if _, err := client.HTTP("ftp://x", ""); !errors.Is(err, api.Invalid) {
		t.Fatal(err)
	}
}

func TestTokenFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "token")
	open := func() error {
		s, err := server.Open(servertest.New(), server.Config{TCP: "127.0.0.1:0", TokenFile: file})
		if err == nil {
			_ = s.Shutdown(t.Context())
		}
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(file)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatal(fi, err)
	}
	first, _ := os.ReadFile(file)
	if err := open(); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(file); string(again) != string(first) || len(first) < 40 {
		t.Fatal("the token changed")
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := open(); !errors.Is(err, api.Denied) {
		t.Fatal(err)
	}
	for _, content := range []string{"", "short", strings.Repeat("x", 600)} {
		_ = os.Remove(file)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(); !errors.Is(err, api.Invalid) {
			t.Errorf("%d characters: %v", len(content), err)
		}
	}
}

// TestBodiesAreBounded sends too much to every call that holds a body.
func TestBodiesAreBounded(t *testing.T) {
	s := tcpServer(t)
	for _, tc := range []struct {
		path string
		size int64
	}{
		{"/v1/invites", 2 << 20},
		{"/v1/transfers", 2 << 20},
		{"/v1/quotes", 33 << 20},
		{"/v1/runs", 33 << 20},
		{"/v1/modules", 65 << 20},
	} {
		body := io.MultiReader(strings.NewReader(`{"name":"`), io.LimitReader(ones{}, tc.size))
		if tc.path == "/v1/modules" {
			body = io.LimitReader(ones{}, tc.size)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+tc.path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+testToken)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue // the server closed the connection under a body it would not take
		}
		raw, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != 429 && res.StatusCode != 413 {
			t.Errorf("%s: %d %s", tc.path, res.StatusCode, raw)
		}
	}
}

// ones is a source of the digit 1 without end.
type ones struct{}

var someOnes = bytes.Repeat([]byte("1"), 64<<10)

func (ones) Read(p []byte) (int, error) { return copy(p, someOnes), nil }

func TestMalformedRequests(t *testing.T) {
	s := tcpServer(t)
	for _, tc := range []struct{ method, path, body, kind string }{
		{"GET", "/nothing", "", "not-found"},
		{"GET", "/v1/objects/nonsense", "", "invalid"},
		{"GET", "/v1/objects?limit=nonsense", "", "invalid"},
		{"GET", "/v1/objects?limit=5000", "", "invalid"},
		{"GET", "/v1/jobs/nonsense", "", "invalid"},
		{"GET", "/v1/credits?cause=nonsense", "", "invalid"},
		{"GET", "/v1/events?since=-1", "", "invalid"},
		{"POST", "/v1/objects?copies=many", "x", "invalid"},
		{"POST", "/v1/objects?copies=17", "x", "invalid"},
		{"POST", "/v1/objects?folder=perhaps", "x", "invalid"},
		{"POST", "/v1/runs", "{", "invalid"},
		{"POST", "/v1/runs", "{}", "invalid"},
		{"POST", "/v1/runs", `{"module":"m","unit":"u","method":"m"} trailing`, "invalid"},
		{"POST", "/v1/runs", `{"module":"m","unit":"u","method":"m","colour":1}`, "invalid"},
		{"POST", "/v1/runs", `{"module":"m","unit":"u","method":"m","price_cap":-1}`, "invalid"},
		{"POST", "/v1/runs", `{"module":"m","unit":"u","method":"m","inputs":[{"link":"inos:x"}]}`, "invalid"},
		{"POST", "/v1/invites", `{"ttl":-1}`, "invalid"},
		{"POST", "/v1/invites", `nonsense`, "invalid"},
		{"POST", "/v1/transfers", `{}`, "invalid"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, s.URL()+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+testToken)
		if tc.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		var p api.Problem
		if json.Unmarshal(raw, &p) != nil || p.Kind != tc.kind || p.Detail == "" || p.Status != res.StatusCode {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, res.StatusCode, raw)
		}
	}
}
