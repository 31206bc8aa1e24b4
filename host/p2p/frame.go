package p2p

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"inos/kernel/api"
)

// framePrefix is the length in front of every message.
const framePrefix = 4

// writeFrame writes one message in one write.
func writeFrame(w io.Writer, msg []byte) error {
	_, err := w.Write(appendFrame(make([]byte, 0, framePrefix+len(msg)), msg))
	return err
}

func appendFrame(dst, msg []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(msg))), msg...)
}

// readFrame reads one message of at most max bytes into buf or, when that is too
// small, into a new slice. io.EOF means that the stream ended between messages,
// Invalid that the peer claims a length beyond max.
func readFrame(r io.Reader, max int, buf []byte) ([]byte, error) {
	var prefix [framePrefix]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(prefix[:]))
	if n == 0 || n > int64(max) {
		return nil, api.Errorf("p2p.frame", api.Invalid, "a message is empty or larger than allowed; the peer does not speak this protocol")
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, noEOF(err)
	}
	return buf, nil
}

// noEOF turns the clean end of a stream into an unexpected one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// paced reads and writes a stream and gives up when no byte moves for stall.
// It moves the deadline at most four times per stall, since that costs a timer.
// One goroutine reads and one writes.
type paced struct {
	s         stream
	stall     time.Duration
	readFrom  time.Time
	writeFrom time.Time
}

func (p *paced) Read(b []byte) (int, error) {
	if now := time.Now(); now.Sub(p.readFrom) > p.stall/4 {
		p.readFrom = now
		_ = p.s.SetReadDeadline(now.Add(p.stall))
	}
	return p.s.Read(b)
}

func (p *paced) Write(b []byte) (int, error) {
	if now := time.Now(); now.Sub(p.writeFrom) > p.stall/4 {
		p.writeFrom = now
		_ = p.s.SetWriteDeadline(now.Add(p.stall))
	}
	return p.s.Write(b)
}

// rest lets the next read wait without limit.
func (p *paced) rest() {
	p.readFrom = time.Time{}
	_ = p.s.SetReadDeadline(time.Time{})
}

// patient reads a stream whose other side may rest between messages: without a
// limit while nothing of a message was read, then at the pace of p.
type patient struct {
	p     *paced
	begun bool
}

func (r *patient) Read(b []byte) (int, error) {
	if r.begun {
		return r.p.Read(b)
	}
	r.p.rest()
	n, err := r.p.s.Read(b)
	r.begun = n > 0
	return n, err
}
