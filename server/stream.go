package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"inos/kernel/api"
)

const (
	ndjsonType = "application/x-ndjson"

	// flushDelay gathers the lines of a burst into one write. It is far below
	// what a person or a scheduler notices, and a stream that ends sooner leaves
	// in a single write.
	flushDelay = 2 * time.Millisecond

	// writeTimeout is how long a reader may leave one write of a stream unread
	// before the server gives up on it.
	writeTimeout = time.Minute
)

var errStreamClosed = errors.New("the stream has ended")

// lineWriter writes one JSON value per line and flushes soon after. It is safe
// for concurrent use. Its first failed write sticks.
//
// Invariant: after close, nothing touches the ResponseWriter.
type lineWriter struct {
	ctl *http.ResponseController

	mu      sync.Mutex
	enc     *json.Encoder // mu
	err     error         // mu; first failure, or errStreamClosed
	pending *time.Timer   // mu; a flush to come, or nil
	written bool          // mu; the headers are on their way
}

// newLineWriter begins the answer. With now, the reader sees the headers before
// the first line exists.
func newLineWriter(w http.ResponseWriter, now bool) *lineWriter {
	h := w.Header()
	h.Set("Content-Type", ndjsonType)
	h.Set("Cache-Control", "no-store")
	l := &lineWriter{ctl: http.NewResponseController(w), enc: json.NewEncoder(w)}
	l.enc.SetEscapeHTML(false)
	if now {
		w.WriteHeader(http.StatusOK)
		l.written = true
		l.err = l.flush()
	}
	return l
}

// write appends a line. It blocks while the reader's window is full, at most
// writeTimeout.
func (l *lineWriter) write(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	_ = l.ctl.SetWriteDeadline(time.Now().Add(writeTimeout)) // unsupported only by test recorders
	l.written = true
	if l.err = l.enc.Encode(v); l.err != nil {
		return l.err
	}
	if l.pending == nil {
		l.pending = time.AfterFunc(flushDelay, l.flushPending)
	}
	return nil
}

func (l *lineWriter) flushPending() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = nil
	if l.err == nil {
		l.err = l.flush()
	}
}

func (l *lineWriter) flush() error {
	_ = l.ctl.SetWriteDeadline(time.Now().Add(writeTimeout))
	return l.ctl.Flush()
}

// close ends the stream; net/http sends what is left when the handler returns.
func (l *lineWriter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending != nil {
		l.pending.Stop()
		l.pending = nil
	}
	if l.err == nil {
		l.err = errStreamClosed
		_ = l.ctl.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
}

// fail reports err: as a status of its own when nothing has been written, else
// as the last line.
func (l *lineWriter) fail(w http.ResponseWriter, err error, line func(*api.Problem) any) {
	l.mu.Lock()
	clean := l.err == nil && !l.written
	l.mu.Unlock()
	if clean {
		w.Header().Del("Cache-Control")
		writeError(w, err)
		return
	}
	_ = l.write(line(problemOf(err))) // a reader that is gone needs no error
}
