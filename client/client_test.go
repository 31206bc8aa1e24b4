package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"inos/kernel/api"
	"inos/server"
	"inos/server/servertest"
)

// TestConnectionsAreReused: calls and streams, uploads among them, leave their
// connection fit for the next.
func TestConnectionsAreReused(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	s, err := server.Open(servertest.New(), server.Config{Socket: sock})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	defer func() { _ = s.Shutdown(context.Background()) }()
	var dials atomic.Int32
	c := newClient("http://inos", "", sock, func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, "unix", sock)
	})
	defer c.Close()
	for range 20 {
		o, err := c.Put(t.Context(), api.PutRequest{Name: "f"}, strings.NewReader("data"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), api.GetRequest{Link: o.Link}, func(api.FileInfo) (io.Writer, error) { return io.Discard, nil }); err != nil {
			t.Fatal(err)
		}
		if err := c.Run(t.Context(), api.RunRequest{Module: "m", Unit: "u", Method: "x"}, func(api.Job) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := dials.Load(); n > 3 {
		t.Errorf("%d connections for 80 calls in a row", n)
	}
}

// TestStrangeServers: what is not a node gives a typed error, never a panic or
// a short answer.
func TestStrangeServers(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	for name, answer := range map[string]func(w http.ResponseWriter){
		"empty":           func(http.ResponseWriter) {},
		"a page":          func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") },
		"an error page":   func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadGateway) },
		"a redirect":      func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(http.StatusFound) },
		"a long line":     func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"progress":"`+long) },
		"a line cut off":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"object":{"name":"x"}}`) },
		"the wrong types": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "{\"object\":7,\"job\":7}\n") },
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
		c, err := HTTP(s.URL, "token")
		if err != nil {
			t.Fatal(err)
		}
		_, statusErr := c.Status(t.Context())
		_, putErr := c.Put(t.Context(), api.PutRequest{}, strings.NewReader("x"), nil)
		getErr := c.Get(t.Context(), api.GetRequest{Link: api.Link{Root: api.Address{1}}}, func(api.FileInfo) (io.Writer, error) { return io.Discard, nil })
		for call, err := range map[string]error{"put": putErr, "get": getErr, "status": statusErr} {
			var e *api.Error
			jsonEnough := call == "status" && (name == "the wrong types" || name == "a line cut off")
			if !errors.As(err, &e) && !jsonEnough {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
		c.Close()
		s.Close()
	}
}

// FuzzLines reads any bytes as a stream: it ends, and a last line without its
// newline is an error.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "{}\n", "{}\n{}", "\n\n", strings.Repeat("x", 9000) + "\n", "a\r\nb\n"} {
		f.Add(s)
	}
	c := &Client{where: "test"}
	f.Fuzz(func(t *testing.T, s string) {
		var got []string
		err := c.lines(t.Context(), "test", strings.NewReader(s), func(b []byte) error {
			got = append(got, string(b))
			return nil
		})
		if whole := s == "" || strings.HasSuffix(s, "\n"); whole != (err == nil) && len(s) < maxLine {
			t.Errorf("%q: %v", s, err)
		}
		for _, line := range got {
			if strings.ContainsRune(line, '\n') {
				t.Errorf("%q holds two lines", line)
			}
		}
	})
}

// TestDirect: a line that the node closed while it was idle is not used again,
// an answer that nobody reads to its end is cut off, and a call ends with its
// context.
func TestDirect(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	gone := make(chan struct{}, 1)
	serve := func() *http.Server {
		l, err := net.Listen("unix", sock)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/events" && r.Method == http.MethodGet {
				_, _ = io.WriteString(w, `{"name":"n"}`)
				return
			}
			_, _ = io.WriteString(w, "{\"type\":\"x\"}\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			gone <- struct{}{}
		})}
		go func() { _ = s.Serve(l) }()
		return s
	}
	c := Unix(sock)
	defer c.Close()
	for range 3 { // each time the node is another one
		s := serve()
		for range 3 {
			if st, err := c.Status(t.Context()); err != nil || st.Name != "n" {
				t.Fatalf("%+v, %v", st, err)
			}
		}
		_ = s.Close()
	}
	s := serve()
	defer func() { _ = s.Close() }()
	stop := errors.New("enough")
	if err := c.Events(t.Context(), 0, func(api.Event) error { return stop }); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	<-gone
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.Events(ctx, 0, func(api.Event) error { cancel(); return nil }); api.KindOf(err) != api.Canceled {
		t.Fatal(err)
	}
	<-gone
	if _, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
}
