package wire

import (
	"bytes"
	"encoding/binary"
	"sync"

	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	modulev1 "inos/protocols/gen/go/module/v1"
)

// RequestEncoder encodes one request after the other. Calls of one method differ
// in little: the bytes of the last request are kept, and what differs at a fixed
// size is written over. The zero value is ready; it is not safe for concurrent
// use.
//
// Invariant: the bytes it returns are those of EncodeModuleRequest.
type RequestEncoder struct {
	last  ModuleRequest // of buf; Params are the encoder's own
	buf   []byte        // nil, or at most maxKeptRequest
	root  modulev1.Request
	input modulev1.Span
	seed  []byte // inside buf
}

// maxKeptRequest bounds the bytes that an encoder holds between calls.
const maxKeptRequest = 4 << 10

// Encode returns a request's bytes, valid until the next Encode.
func (e *RequestEncoder) Encode(q ModuleRequest) ([]byte, error) {
	if e.buf != nil && e.like(q) {
		e.root.SetOutputLimit(q.OutputLimit)
		e.root.SetSubmittedUnixMs(q.SubmittedUnixMS)
		e.input.SetPointer(q.Input.Pointer)
		e.input.SetLength(q.Input.Length)
		copy(e.seed, q.JobSeed[:])
		return e.buf, nil
	}
	e.buf = nil
	b, err := EncodeModuleRequest(q)
	if err != nil || len(b) > maxKeptRequest {
		return b, err
	}
	return b, e.keep(q, b)
}

// like reports whether q differs from the last request in fields of fixed size
// only.
func (e *RequestEncoder) like(q ModuleRequest) bool {
	l := &e.last
	return l.Unit == q.Unit && l.Method == q.Method && bytes.Equal(l.Params, q.Params) &&
		l.InputMediaType == q.InputMediaType && l.InputName == q.InputName
}

// keep opens b for the changes of later calls.
func (e *RequestEncoder) keep(q ModuleRequest, b []byte) error {
	const op = "wire.encodemodulerequest"
	msg, _, err := capnp.NewMessage(capnp.NewReadOnlySingleSegment(b[streamHeader:]))
	if err == nil {
		msg.ResetReadLimit(1 << 62) // these are our own bytes
		e.root, err = modulev1.ReadRootRequest(msg)
	}
	if err == nil {
		e.input, err = e.root.Input()
	}
	if err == nil {
		e.seed, err = e.root.JobSeed()
	}
	if err != nil {
		return api.E(op, api.Other, err)
	}
	e.last, e.buf = q, b
	e.last.Params = bytes.Clone(q.Params)
	return nil
}

// streamHeader is the length of the stream framing of one segment.
const streamHeader = 8

// opener opens messages of guests without an allocation for the usual ones, of
// a single segment. What was read from a message is copied before close.
type opener struct {
	msg     capnp.Message
	segment capnp.ReadOnlySingleSegment
}

var openers = sync.Pool{New: func() any { return new(opener) }}

// open is openModuleRecord.
func (o *opener) open(op string, b []byte, limit int) (*capnp.Message, error) {
	if len(b) < streamHeader || len(b) > limit || binary.LittleEndian.Uint32(b) != 0 {
		return openModuleRecord(op, b, limit)
	}
	if uint64(len(b)) != streamHeader+8*uint64(binary.LittleEndian.Uint32(b[4:])) {
		return nil, api.Errorf(op, api.Invalid, "the message's length is not the sum of its segments")
	}
	o.segment.ReplaceData(b[streamHeader:])
	if _, err := o.msg.Reset(&o.segment); err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	o.msg.ResetReadLimit(uint64(4*len(b)) + 4096)
	return &o.msg, nil
}

// close forgets the message.
func (o *opener) close() {
	o.msg.Release()
	openers.Put(o)
}
