package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"

	"inos/frontend"
	"inos/kernel/api"
	"inos/server"
	"inos/server/servertest"
)

// browser is a signed-in page: its cookie and its key.
type browser struct {
	t      *testing.T
	base   string // without the slash
	cookie *http.Cookie
	key    string
}

func pageServer(t *testing.T, cfg server.Config) (*servertest.Fake, *server.Server) {
	t.Helper()
	fake := servertest.New()
	if cfg.Page == "" {
		cfg.Page = "127.0.0.1:0"
	}
	if cfg.Socket == "" {
		cfg.Socket = filepath.Join(t.TempDir(), "s")
	}
	s, err := server.Open(fake, cfg)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return fake, s
}

// reply is a whole answer.
type reply struct {
	status  int
	header  http.Header
	cookies []*http.Cookie
	body    []byte
}

func (b *browser) do(method, path string, body io.Reader, edit ...func(*http.Request)) reply {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if method != "GET" {
		req.Header.Set("Origin", b.base)
	}
	if b.cookie != nil {
		req.AddCookie(b.cookie)
		req.Header.Set("Inos-Page", b.key)
	}
	for _, f := range edit {
		f(req)
	}
	res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, res.Cookies(), raw}
}

func (b *browser) text(method, path string, body io.Reader, edit ...func(*http.Request)) (int, string) {
	b.t.Helper()
	res := b.do(method, path, body, edit...)
	return res.status, string(res.body)
}

// signInToken is the secret of a fresh sign-in link.
func signInToken(t *testing.T, s *server.Server) string {
	t.Helper()
	link, err := s.SignIn()
	if err != nil {
		t.Fatal(err)
	}
	base, token, ok := strings.Cut(link.URL, "#sign-in=")
	if !ok || base != s.PageURL() || len(token) < 40 || link.Expires < time.Now().Unix() {
		t.Fatalf("%+v", link)
	}
	return token
}

func signIn(t *testing.T, s *server.Server) *browser {
	t.Helper()
	b := &browser{t: t, base: strings.TrimSuffix(s.PageURL(), "/")}
	res := b.do("POST", "/page/session", strings.NewReader(`{"token":"`+signInToken(t, s)+`"}`))
	var out struct{ Key string }
	if err := json.Unmarshal(res.body, &out); err != nil || res.status != 200 || len(res.cookies) != 1 {
		t.Fatal(res.status, err)
	}
	b.cookie, b.key = res.cookies[0], out.Key
	return b
}

func TestSignInWorksOnce(t *testing.T) {
	_, s := pageServer(t, server.Config{})
	b := &browser{t: t, base: strings.TrimSuffix(s.PageURL(), "/")}
	body := func(token string) io.Reader { return strings.NewReader(`{"token":"` + token + `"}`) }
	token := signInToken(t, s)
	for name, bad := range map[string]string{"empty": "", "wrong": token + "x", "prefix": token[:20]} {
		if code, _ := b.text("POST", "/page/session", body(bad)); code != 401 {
			t.Error(name, code)
		}
	}
	if code, _ := b.text("POST", "/page/session", body(token), func(r *http.Request) { r.Header.Del("Origin") }); code != 403 {
		t.Error("no origin", code)
	}
	res := b.do("POST", "/page/session", body(token))
	c := res.cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("%+v", c)
	}
	if code, text := b.text("POST", "/page/session", body(token)); code != 401 || !strings.Contains(text, "inos ui") {
		t.Error("used twice", code, text)
	}
	// The seventeenth link voids the first.
	first := signInToken(t, s)
	for range 16 {
		signInToken(t, s)
	}
	if code, _ := b.text("POST", "/page/session", body(first)); code != 401 {
		t.Error("links are not bounded", code)
	}
}

func TestPageNeedsCookieAndKey(t *testing.T) {
	_, s := pageServer(t, server.Config{Origins: []string{"https://node.example"}})
	b := signIn(t, s)
	for _, tc := range []struct {
		name   string
		edit   func(*http.Request)
		status int
	}{
		{"both", func(*http.Request) {}, 200},
		{"no cookie", func(r *http.Request) { r.Header.Del("Cookie") }, 401},
		{"no key: a page of another port has the cookie", func(r *http.Request) { r.Header.Del("Inos-Page") }, 401},
		{"another's key", func(r *http.Request) { r.Header.Set("Inos-Page", b.key+"x") }, 401},
		{"rebound name", func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"name like an address", func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }, 403},
		{"other address", func(r *http.Request) { r.Host = "10.0.0.1:4270" }, 403},
		{"proxy's name", func(r *http.Request) { r.Host = "node.example" }, 200},
		{"foreign origin", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		{"other port's origin", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, 403},
		{"null origin", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"cross-site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"same-site, another port", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		{"cross-site navigation to the API", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "navigate")
		}, 403},
	} {
		if code, text := b.text("GET", "/v1/status", nil, tc.edit); code != tc.status {
			t.Errorf("%s: %d, want %d: %s", tc.name, code, tc.status, text)
		}
	}
	// A session cannot make sessions for others.
	if code, _ := b.text("POST", "/v1/signin", nil); code != 403 {
		t.Error("signin from the page", code)
	}
	for _, path := range []string{"/v1/objects", "/metrics", "/openapi.json", "/healthz", "/page/session", "/v1/nothing"} {
		if code, _ := (&browser{t: t, base: b.base}).text("GET", path, nil); code != 401 {
			t.Error("signed out:", path, code)
		}
	}
}

func TestSignOutRevokes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sessions")
	_, s := pageServer(t, server.Config{PageSessions: file})
	b, other := signIn(t, s), signIn(t, s)
	raw, err := os.ReadFile(file)
	if err != nil || bytes.Contains(raw, []byte(b.cookie.Value)) || bytes.Contains(raw, []byte(b.key)) {
		t.Fatal("the file holds secrets", err)
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Fatal(fi.Mode(), err)
	}
	if res := b.do("DELETE", "/page/session", nil); res.status != 204 || res.cookies[0].MaxAge >= 0 {
		t.Fatal(res.status)
	}
	if code, _ := b.text("GET", "/v1/status", nil); code != 401 {
		t.Error("the cookie outlived sign-out", code)
	}
	// The other browser stays, also over a restart of the node.
	_, again := pageServer(t, server.Config{PageSessions: file})
	other.base = strings.TrimSuffix(again.PageURL(), "/")
	_, from, _ := strings.Cut(strings.TrimSuffix(s.PageURL(), "/"), "127.0.0.1:")
	_, to, _ := strings.Cut(other.base, "127.0.0.1:")
	other.cookie.Name = strings.Replace(other.cookie.Name, from, to, 1)
	if code, _ := other.text("GET", "/v1/status", nil); code != 200 {
		t.Error("a restart signed the browser out", code)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = server.Open(servertest.New(), server.Config{Page: "127.0.0.1:0", Socket: filepath.Join(t.TempDir(), "s"), PageSessions: file})
	if api.KindOf(err) != api.Denied {
		t.Error("a file that others read is used", err)
	}
}

// networkWorkerName is the path of the script that connects to the mesh.
func networkWorkerName(t *testing.T) string {
	t.Helper()
	names, err := fs.Glob(frontend.Dist(), "assets/net.worker-*.js.br")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	return "/" + strings.TrimSuffix(names[0], ".br")
}

func TestPageFilesAndHeaders(t *testing.T) {
	_, s := pageServer(t, server.Config{})
	b := &browser{t: t, base: strings.TrimSuffix(s.PageURL(), "/")}
	br := func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip, br;q=0.9") }
	res := b.do("GET", "/", nil, br)
	index, err := io.ReadAll(brotli.NewReader(bytes.NewReader(res.body)))
	if err != nil || res.header.Get("Content-Encoding") != "br" || !bytes.Contains(index, []byte("<!doctype html>")) {
		t.Fatal(res.header, err)
	}
	for name, want := range map[string]string{
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp",
		"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "no-referrer", "Cache-Control": "no-cache",
	} {
		if got := res.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	csp := res.header.Get("Content-Security-Policy")
	if strings.Contains(csp, "unsafe-inline") || strings.Contains(strings.ReplaceAll(csp, "'wasm-unsafe-eval'", ""), "unsafe-eval") ||
		!strings.HasSuffix(csp, "connect-src 'self'") || !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Error(csp)
	}
	name := networkWorkerName(t)
	if csp := b.do("GET", name, nil, br).header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "connect-src 'self' ws://192.0.2.1:4410") {
		t.Errorf("%s: %q", name, csp)
	}
	for _, accept := range []string{"", "gzip", "br;q=0", "brx"} {
		res := b.do("GET", "/", nil, func(r *http.Request) { r.Header.Set("Accept-Encoding", accept) })
		if res.header.Get("Content-Encoding") != "" || !bytes.Equal(res.body, index) {
			t.Errorf("Accept-Encoding %q: %s", accept, res.header.Get("Content-Encoding"))
		}
	}
	// A view's address is the page; a link to it from elsewhere works.
	code, text := b.text("GET", "/files", nil, func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
	})
	if code != 200 || text != string(index) {
		t.Error("view", code)
	}
	if code, _ := b.text("GET", "/", nil, func(r *http.Request) { r.Header.Set("If-None-Match", res.header.Get("ETag")) }); code != 304 {
		t.Error("etag", code)
	}
	for _, path := range []string{"/assets/none.js", "/favicon.ico", "/index.html.br", "/../ui.go"} {
		if code, _ := b.text("GET", path, nil); code == 200 {
			t.Error(path, "is served")
		}
	}
}

func TestPageAssetsAreImmutable(t *testing.T) {
	_, s := pageServer(t, server.Config{})
	b := &browser{t: t, base: strings.TrimSuffix(s.PageURL(), "/")}
	_, index := b.text("GET", "/", nil)
	_, rest, ok := strings.Cut(index, `src="/assets/`)
	name, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal("the page loads no script")
	}
	res := b.do("GET", "/assets/"+name, nil)
	if res.status != 200 || !strings.Contains(res.header.Get("Cache-Control"), "immutable") ||
		!strings.HasPrefix(res.header.Get("Content-Type"), "text/javascript") {
		t.Error(res.status, res.header)
	}
}

// ticketURL asks for an address of an object's bytes.
func (b *browser) ticketURL(req api.TicketRequest) string {
	b.t.Helper()
	raw, err := json.Marshal(req)
	if err != nil {
		b.t.Fatal(err)
	}
	code, text := b.text("POST", "/v1/tickets", bytes.NewReader(raw), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") })
	var out api.Ticket
	if err := json.Unmarshal([]byte(text), &out); err != nil || code != 200 {
		b.t.Fatal(code, text)
	}
	return out.URL
}

func TestUserBytesNeverRunInThePage(t *testing.T) {
	fake, s := pageServer(t, server.Config{})
	b := signIn(t, s)
	name := `<script>alert(1)</script>"; x.html`
	obj, err := fake.Put(t.Context(), api.PutRequest{Name: name}, strings.NewReader("<script>alert(document.domain)</script>"), func(api.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	path := b.ticketURL(api.TicketRequest{Link: obj.Link, Preview: true})
	if strings.Contains(path, obj.Link.Root.String()) {
		t.Error("the address names the object")
	}
	noKey := func(r *http.Request) { r.Header.Del("Inos-Page") } // an <img> sends none
	res := b.do("GET", path, nil, noKey)
	h := res.header
	if res.status != 200 || h.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") ||
		!strings.Contains(h.Get("Content-Security-Policy"), "sandbox") || strings.Contains(h.Get("Content-Security-Policy"), "allow-scripts") ||
		h.Get("X-Content-Type-Options") != "nosniff" || strings.Contains(h.Get("Content-Disposition"), "<script") && !strings.Contains(h.Get("Content-Disposition"), `\"`) {
		t.Error(res.status, h)
	}
	if code, text := b.text("GET", path, nil, noKey, func(r *http.Request) { r.Header.Set("Range", "bytes=1-6") }); code != 206 || text != "script" {
		t.Error("range", code, text)
	}
	for name, edit := range map[string]func(*http.Request){
		"no cookie":  func(r *http.Request) { r.Header.Del("Cookie") },
		"cross-site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"same-site":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"navigation from elsewhere": func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "navigate")
		},
	} {
		if code, _ := b.text("GET", path, nil, edit); code/100 == 2 {
			t.Error(name, code)
		}
	}
	if code, _ := b.text("GET", "/page/raw/nonsense/x", nil); code != 404 {
		t.Error("made-up ticket", code)
	}
	if res := b.do("DELETE", "/page/session", nil); res.status != 204 {
		t.Fatal(res.status)
	}
	if code, _ := b.text("GET", path, nil); code != 401 {
		t.Error("a ticket outlived sign-out", code)
	}
}

func TestTicketPreviewsPictures(t *testing.T) {
	fake, s := pageServer(t, server.Config{})
	b := signIn(t, s)
	png := "\x89PNG\r\n\x1a\n" + strings.Repeat("x", 100)
	obj, err := fake.Put(t.Context(), api.PutRequest{Name: "a.png"}, strings.NewReader(png), func(api.Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		req  api.TicketRequest
		want string
	}{
		{api.TicketRequest{Link: obj.Link, Preview: true}, "inline"},
		{api.TicketRequest{Link: obj.Link}, "attachment"},
	} {
		res := b.do("GET", b.ticketURL(tc.req), nil)
		if got := res.header.Get("Content-Disposition"); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%+v: %s %s", tc.req, got, res.header.Get("Content-Type"))
		}
	}
}

func TestPageListensOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.org:0", "nonsense"} {
		_, err := server.Open(servertest.New(), server.Config{Page: addr, Socket: filepath.Join(t.TempDir(), "s")})
		if api.KindOf(err) != api.Invalid {
			t.Error(addr, err)
		}
	}
	_, s := pageServer(t, server.Config{})
	taken := strings.TrimSuffix(strings.TrimPrefix(s.PageURL(), "http://"), "/")
	if _, err := server.Open(servertest.New(), server.Config{Page: taken, Socket: filepath.Join(t.TempDir(), "s")}); api.KindOf(err) != api.Exists {
		t.Error(err)
	}
	// The default address gives way.
	_, a := pageServer(t, server.Config{Page: server.DefaultPage})
	_, c := pageServer(t, server.Config{Page: server.DefaultPage})
	if a.PageURL() == c.PageURL() || c.PageURL() == "http://"+server.DefaultPage+"/" {
		t.Error(a.PageURL(), c.PageURL())
	}
	plain := tcpServer(t)
	if _, err := plain.SignIn(); api.KindOf(err) != api.Unsupported {
		t.Error(err)
	}
}
