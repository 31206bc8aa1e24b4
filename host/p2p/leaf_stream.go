package p2p

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// lingerTime is how long a closed stream waits for the peer's end of it.
const lingerTime = 10 * time.Second

var (
	errStreamReset = errors.New("the stream was reset")
	errStreamLost  = errors.New("the connection was lost")
)

// leafStream is a stream of the network worker.
type leafStream struct {
	l      *leaf
	id     uint32
	over   *leafConn     // set before the owner of the stream sees it; guarded by l.mu until then
	opened chan struct{} // closed when the worker opened it; nil for a peer's
	ctx    context.Context
	cancel context.CancelFunc // ends what Write waits for

	readable, writable signal
	readEnd, writeEnd  deadline

	mu       sync.Mutex
	arrived  []*buffer // guarded by mu; at most layout.NetWindow bytes
	at       int       // guarded by mu; bytes of arrived[0] already read
	unread   uint32    // guarded by mu; bytes in arrived
	owed     uint32    // guarded by mu; read and not yet given back as credit
	credit   uint32    // guarded by mu; bytes that may be sent
	eof      bool      // guarded by mu; the peer sends no more
	sentEnd  bool      // guarded by mu
	dropping bool      // guarded by mu; Close was called, what arrives is dropped
	err      error     // guarded by mu; why the stream is over
}

func newLeafStream(l *leaf, id uint32) *leafStream {
	s := &leafStream{
		l: l, id: id, credit: layout.NetWindow,
		readable: make(signal, 1), writable: make(signal, 1),
	}
	s.ctx, s.cancel = context.WithCancel(l.owner.ctx)
	return s
}

func (s *leafStream) conn() conn { return s.over }

// failed says why the stream is over, nil while it stands.
func (s *leafStream) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// take acts on a frame of this stream, in the link's goroutine.
func (s *leafStream) take(f frame) error {
	switch f.kind {
	case layout.NetReset:
		s.l.forget(s)
		switch {
		case api.Kind(f.code) == api.Denied:
			s.fail(errRefused)
		case f.code != 0:
			s.fail(f.failure("p2p.stream"))
		default:
			s.fail(errStreamReset)
		}
	case layout.NetEnd:
		s.mu.Lock()
		s.eof = true
		done := s.sentEnd
		s.mu.Unlock()
		if done {
			s.l.forget(s)
		}
		s.readable.give()
	case layout.NetCredit:
		return s.takeCredit(f.value)
	case layout.NetData:
		return s.takeData(f.payload)
	}
	return nil
}

func (s *leafStream) takeCredit(n uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > layout.NetWindow-min(s.credit, layout.NetWindow) {
		return api.Errorf("p2p.link", api.Invalid, "the network worker gives more credit than a window has")
	}
	s.credit += n
	s.writable.give()
	return nil
}

func (s *leafStream) takeData(b []byte) error {
	n := uint32(len(b))
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return nil
	}
	if s.eof || s.unread+s.owed+n > layout.NetWindow {
		s.mu.Unlock()
		return api.Errorf("p2p.link", api.Invalid, "the network worker sends beyond the credit or the end of a stream")
	}
	if s.dropping {
		s.mu.Unlock()
		s.l.tell(frame{kind: layout.NetCredit, id: s.id, value: n})
		return nil
	}
	s.unread += n
	room := 0
	if k := len(s.arrived); k > 0 { // small pieces share a buffer
		last := s.arrived[k-1]
		room = min(cap(last.b)-len(last.b), len(b))
		last.b = append(last.b, b[:room]...)
	}
	if rest := b[room:]; len(rest) > 0 {
		piece := getBuffer(len(rest))
		copy(piece.b, rest)
		s.arrived = append(s.arrived, piece)
	}
	s.mu.Unlock()
	s.readable.give()
	return nil
}

func (s *leafStream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, owed, err := s.readNow(p)
		if owed > 0 {
			s.l.tell(frame{kind: layout.NetCredit, id: s.id, value: owed})
		}
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-s.readable:
		case <-s.readEnd.wait():
			return 0, os.ErrDeadlineExceeded
		}
	}
}

// readNow takes what is there. owed is what to give back as credit: a quarter
// of the window at least, so that small reads do not cost a frame each.
func (s *leafStream) readNow(p []byte) (n int, owed uint32, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, 0, s.err
	}
	for n < len(p) && len(s.arrived) > 0 {
		first := s.arrived[0]
		k := copy(p[n:], first.b[s.at:])
		n, s.at = n+k, s.at+k
		if s.at == len(first.b) {
			first.release()
			s.arrived[0] = nil
			s.arrived, s.at = s.arrived[1:], 0
		}
	}
	if n == 0 {
		if s.eof {
			return 0, 0, io.EOF
		}
		return 0, 0, nil
	}
	s.unread -= uint32(n)
	s.owed += uint32(n)
	if s.owed >= layout.NetWindow/4 && !s.eof {
		owed, s.owed = s.owed, 0
	}
	return n, owed, nil
}

func (s *leafStream) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := s.claim(len(p) - done)
		if err != nil {
			return done, err
		}
		if n == 0 {
			select {
			case <-s.writable:
			case <-s.writeEnd.wait():
				return done, os.ErrDeadlineExceeded
			}
			continue
		}
		if err := s.l.send(s.ctx, frame{kind: layout.NetData, id: s.id}, p[done:done+n]); err != nil {
			if own := s.failed(); own != nil {
				err = own
			}
			return done, err
		}
		done += n
	}
	return done, nil
}

// claim takes credit for at most n bytes of one frame; 0 when there is none.
func (s *leafStream) claim(n int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.sentEnd {
		return 0, io.ErrClosedPipe
	}
	n = min(n, int(s.credit), layout.NetMaxData)
	s.credit -= uint32(n)
	return n, nil
}

// CloseWrite ends this direction.
func (s *leafStream) CloseWrite() error {
	s.mu.Lock()
	if s.err != nil || s.sentEnd {
		s.mu.Unlock()
		return nil
	}
	s.sentEnd = true
	done := s.eof
	s.mu.Unlock()
	if done {
		s.l.forget(s)
	}
	return s.l.send(s.l.owner.ctx, frame{kind: layout.NetEnd, id: s.id})
}

// Close ends this direction and drops what the peer still sends. A peer that
// does not end its own within lingerTime loses the stream.
func (s *leafStream) Close() error {
	err := s.CloseWrite()
	s.mu.Lock()
	s.dropping = true
	held := s.drop()
	over := s.eof || s.err != nil
	s.mu.Unlock()
	s.cancel()
	if over {
		return err
	}
	if held > 0 {
		s.l.tell(frame{kind: layout.NetCredit, id: s.id, value: held})
	}
	s.readEnd.set(time.Unix(1, 0)) // nobody reads any more
	time.AfterFunc(lingerTime, func() {
		s.mu.Lock()
		over := s.eof || s.err != nil
		s.mu.Unlock()
		if !over {
			_ = s.Reset()
		}
	})
	return err
}

// drop empties the buffer and returns the credit that the worker has lost. mu is
// held.
func (s *leafStream) drop() uint32 {
	held := s.unread + s.owed
	for _, b := range s.arrived {
		b.release()
	}
	s.arrived, s.at, s.unread, s.owed = nil, 0, 0, 0
	return held
}

func (s *leafStream) Reset() error { return s.abort(0) }

func (s *leafStream) refuse() error { return s.abort(api.Denied) }

func (s *leafStream) abort(why api.Kind) error {
	if !s.fail(errStreamReset) {
		return nil
	}
	s.l.forget(s)
	return s.l.send(s.l.owner.ctx, frame{kind: layout.NetReset, id: s.id, code: uint8(why)})
}

// fail ends the stream; false when it had ended.
func (s *leafStream) fail(err error) bool {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return false
	}
	s.err = err
	s.drop()
	s.mu.Unlock()
	s.cancel()
	s.readable.give()
	s.writable.give()
	s.l.mu.Lock()
	if s.opened != nil && s.over == nil {
		s.over = &leafConn{l: s.l} // nobody saw the stream; its opener learns the error
		close(s.opened)
	}
	s.l.mu.Unlock()
	return true
}

func (s *leafStream) SetDeadline(t time.Time) error {
	s.readEnd.set(t)
	s.writeEnd.set(t)
	return nil
}

func (s *leafStream) SetReadDeadline(t time.Time) error {
	s.readEnd.set(t)
	return nil
}

func (s *leafStream) SetWriteDeadline(t time.Time) error {
	s.writeEnd.set(t)
	return nil
}

// signal says that it is worth looking again. Its capacity is 1.
type signal chan struct{}

func (s signal) give() {
	select {
	case s <- struct{}{}:
	default:
	}
}
