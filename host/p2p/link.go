package p2p

import (
	"context"
	"encoding/binary"
	"strings"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// Link is the way from a tab's kernel to its network worker: bounded, ordered,
// whole messages. host/browser's Port is one; tests use a pair of channels. Send
// and Receive run at the same time, from any goroutines.
type Link interface {
	// Send queues one message made of the parts, which it copies, and waits while
	// the other side is slow. The error after the link's end is api.Closed.
	Send(ctx context.Context, parts ...[]byte) error
	// Receive waits for the next message, valid until the next Receive.
	Receive(ctx context.Context) ([]byte, error)
	// Close ends the link for both sides.
	Close()
}

// frame is one message on a Link: a layout.NetFrame record and its payload.
// What each kind means stands in protocols/schemas/system/v1/layout.capnp.
type frame struct {
	kind, code      uint8
	id, conn, value uint32
	payload         []byte // aliases the message
}

// head encodes the record.
func (f frame) head() []byte {
	var b [layout.NetFrameSize]byte
	b[layout.NetFrameAtKind], b[layout.NetFrameAtCode] = f.kind, f.code
	binary.LittleEndian.PutUint32(b[layout.NetFrameAtId:], f.id)
	binary.LittleEndian.PutUint32(b[layout.NetFrameAtConn:], f.conn)
	binary.LittleEndian.PutUint32(b[layout.NetFrameAtValue:], f.value)
	return b[:]
}

// decodeFrame reads one message and checks what every kind has in common.
// Invalid for what no honest side sends.
func decodeFrame(m []byte) (frame, error) {
	const op = "p2p.link"
	if len(m) < layout.NetFrameSize {
		return frame{}, api.Errorf(op, api.Invalid, "a frame of the network worker is too short")
	}
	f := frame{
		kind: m[layout.NetFrameAtKind], code: m[layout.NetFrameAtCode],
		id:      binary.LittleEndian.Uint32(m[layout.NetFrameAtId:]),
		conn:    binary.LittleEndian.Uint32(m[layout.NetFrameAtConn:]),
		value:   binary.LittleEndian.Uint32(m[layout.NetFrameAtValue:]),
		payload: m[layout.NetFrameSize:],
	}
	limit := layout.NetMaxText
	if f.kind == layout.NetData {
		limit = layout.NetMaxData
	}
	if f.kind < layout.NetStart || f.kind > layout.NetMember || len(f.payload) > limit {
		return frame{}, api.Errorf(op, api.Invalid, "a frame of the network worker has an unknown kind or is too long")
	}
	if f.kind == layout.NetData && len(f.payload) == 0 {
		return frame{}, api.Errorf(op, api.Invalid, "a frame of the network worker brings no data")
	}
	return f, nil
}

// named splits a payload that begins with a node's key.
func (f frame) named() (api.NodeID, string, bool) {
	var n api.NodeID
	if len(f.payload) < len(n) {
		return n, "", false
	}
	copy(n[:], f.payload)
	return n, string(f.payload[len(n):]), true
}

// lines are the lines of a payload that is a list.
func (f frame) lines() []string {
	if len(f.payload) == 0 {
		return nil
	}
	return strings.Split(string(f.payload), "\n")
}

// failure is the error that a code and words stand for.
func (f frame) failure(op string) error {
	kind := api.Kind(f.code)
	if kind.String() == api.Other.String() {
		kind = api.Unavailable
	}
	text := strings.ToValidUTF8(string(f.payload), "?")
	if text == "" {
		text = "the network worker gives no reason"
	}
	return api.Errorf(op, kind, text)
}
