package client

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inos/kernel/api"
)

// answerWith serves one connection after the other: it reads a request, writes
// what is next of the texts, and closes. It returns how many requests came.
func answerWith(t *testing.T, texts ...string) (c *Client, requests *atomic.Int32) {
	t.Helper()
	sock := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	requests = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
				n := int(requests.Add(1)) - 1
				_, _ = io.WriteString(conn, texts[n%len(texts)])
			}
			_ = conn.Close()
		}
	}()
	c = Unix(sock)
	t.Cleanup(func() { c.Close(); _ = l.Close(); <-done })
	return c, requests
}

// Whatever becomes of a request, it is sent once: what changes something must not
// happen twice.
func TestARequestIsSentOnce(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":          "",
		"half a head":      "HTTP/1.1 200 OK\r\nContent-Le",
		"half a body":      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{",
		"no HTTP":          "SSH-2.0-x\r\n\r\n",
		"interim only":     strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100),
		"another protocol": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
	} {
		c, requests := answerWith(t, text)
		_, status := c.Status(t.Context())
		_, transfer := c.Transfer(t.Context(), api.TransferRequest{})
		for _, err := range []error{status, transfer} {
			if api.KindOf(err) != api.Unavailable {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := requests.Load(); n != 2 {
			t.Errorf("%s: 2 calls sent %d requests", name, n)
		}
	}
}

func TestInterimAnswersAreSkipped(t *testing.T) {
	c, _ := answerWith(t, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"name\":\"n\"}")
	if st, err := c.Status(t.Context()); err != nil || st.Name != "n" {
		t.Fatalf("%+v, %v", st, err)
	}
}

// Idle lines are bounded, and those that nobody used for long go with the next one.
func TestIdleLinesAreBounded(t *testing.T) {
	d := &direct{}
	open := func() *line {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = theirs.Close() })
		return newLine(ours)
	}
	closed := func(l *line) bool { return l.conn.SetDeadline(time.Time{}) != nil }
	first := open()
	d.give(first)
	for range maxIdleConns {
		d.give(open())
	}
	if len(d.idle) != maxIdleConns || !closed(first) {
		t.Fatalf("%d lines are idle", len(d.idle))
	}
	old := d.idle[:maxIdleConns-1]
	for _, l := range old {
		l.since = l.since.Add(-idleTimeout)
	}
	old = append([]*line(nil), old...)
	last := open()
	d.give(last)
	if len(d.idle) != 2 || d.idle[1] != last || closed(last) {
		t.Fatalf("%d lines are idle", len(d.idle))
	}
	for _, l := range old {
		if !closed(l) {
			t.Fatal("a line that nobody used for long is open")
		}
	}
}
