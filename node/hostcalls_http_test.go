//go:build !js

package node

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"inos/kernel/api"
)

func TestHTTPProxy(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") }))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/echo", http.StatusTemporaryRedirect)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/big":
			_, _ = w.Write(bytes.Repeat([]byte("x"), maxHTTPResponse+1))
		default:
			b, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, r.Method+" "+r.Header.Get("Content-Type")+" "+string(b))
		}
	}))
	defer srv.Close()
	open := func(private bool) *httpProxy {
		p, err := openHTTP(SyscallConfig{HTTPOrigins: []string{strings.ToUpper(srv.URL[:4]) + srv.URL[4:] + "/"}, HTTPPrivate: private})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.client.CloseIdleConnections)
		return p
	}
	p := open(true)
	for _, path := range []string{"/echo", "/near"} {
		a, err := p.serve(t.Context(), nil, "post", srv.URL+path, []byte(`{"a":1}`))
		if err != nil || a.Code != http.StatusTeapot || a.Detail != "text/plain" || string(a.Data) != `POST application/json {"a":1}` {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	for _, tt := range []struct {
		p         *httpProxy
		op, url   string
		want      api.Kind
		condition string
	}{
		{p, "get", srv.URL + "/away", api.Denied, "a redirect to an origin that is not listed"},
		{p, "get", srv.URL + "/loop", api.Exhausted, "redirects without end"},
		{p, "get", srv.URL + "/big", api.Exhausted, "a response above the bound"},
		{p, "get", other.URL, api.Denied, "an origin that is not listed"},
		{p, "get", strings.Replace(srv.URL, "http://", "http://user:pass@", 1), api.Denied, "a URL with a password"},
		{p, "get", "file:///etc/passwd", api.Denied, "a file"},
		{p, "connect", srv.URL, api.Unsupported, "another method"},
		{p, "get", "http://%zz", api.Invalid, "no URL"},
		{open(false), "get", srv.URL + "/echo", api.Denied, "an address of this machine"},
	} {
		if a, err := tt.p.serve(t.Context(), nil, tt.op, tt.url, nil); api.KindOf(err) != tt.want {
			t.Errorf("%s: %+v, %v", tt.condition, a, err)
		}
	}
	for _, bad := range []string{"", "example.org", "ftp://example.org", "https://example.org/path", "https://u@example.org"} {
		if _, err := openHTTP(SyscallConfig{HTTPOrigins: []string{bad}}); api.KindOf(err) != api.Invalid {
			t.Errorf("the origin %q: %v", bad, err)
		}
	}
}

// earlyAnswer is a transport that answers before it has read the body, which
// http.RoundTripper allows.
type earlyAnswer struct{ body io.ReadCloser }

func (e *earlyAnswer) RoundTrip(r *http.Request) (*http.Response, error) {
	e.body = r.Body
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

// What is sent does not lie in the guest's memory, which is gone by then.
func TestHTTPBodyOutlivesTheCall(t *testing.T) {
	early := &earlyAnswer{}
	p, err := openHTTP(SyscallConfig{HTTPOrigins: []string{"http://example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	p.client.Transport = early
	memory := []byte("of the sender")
	if _, err := p.serve(t.Context(), nil, "post", "http://example.org/", memory); err != nil {
		t.Fatal(err)
	}
	copy(memory, "of a stranger")
	if b, err := io.ReadAll(early.body); err != nil || string(b) != "of the sender" {
		t.Errorf("sent %q, %v", b, err)
	}
}

func TestPublicAddresses(t *testing.T) {
	for a, want := range map[string]bool{
		"93.184.215.14:443": true, "[2606:2800::1]:443": true, "127.0.0.1:80": false, "10.0.0.1:80": false, "172.16.0.1:80": false,
		"192.168.1.1:80": false, "169.254.169.254:80": false, "100.64.0.1:80": false, "0.0.0.0:80": false, "224.0.0.1:80": false,
		"255.255.255.255:80": false, "[::1]:80": false, "[fe80::1]:80": false, "[fd00::1]:80": false, "[::ffff:10.0.0.1]:80": false,
		"[64:ff9b::a00:1]:80": false, "[2002:a00:1::]:80": false, "[::7f00:1]:80": false, "[fec0::1]:80": false, "[2001:0:a00:1::]:80": false, "[fe80::1%lo]:80": false, "nonsense": false,
	} {
		if err := publicOnly(a); (err == nil) != want {
			t.Errorf("%s: %v", a, err)
		}
	}
}
