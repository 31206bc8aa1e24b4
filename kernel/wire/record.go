package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
)

// newRecord builds one message: fill sets the root, and the result is the
// unpacked stream form.
func newRecord(op string, fill func(*capnp.Segment) error) ([]byte, error) {
	// A nil buffer grows; one with a capacity would refuse to.
	msg, seg := capnp.NewSingleSegmentMessage(nil)
	defer msg.Release()
	if err := fill(seg); err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	b, err := msg.Marshal()
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	return b, nil
}

// openRecord opens a message of at most limit bytes. Reading it may visit each
// byte a few times and no more, whatever its pointers say.
func openRecord(op string, b []byte, limit int) (*capnp.Message, error) {
	if len(b) > limit {
		return nil, api.Errorf(op, api.Exhausted, "the record is larger than its bound")
	}
	msg, err := capnp.Unmarshal(b)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	msg.ResetReadLimit(uint64(4*len(b)) + 4096)
	return msg, nil
}

// reader collects the fields of one decoded record and keeps the first error,
// so that a decoder reads as a list of fields.
type reader struct{ err error }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) invalid(msg string) { r.fail(api.Errorf("wire.decode", api.Invalid, msg)) }

// fixed copies a field of exactly len(dst) bytes.
func (r *reader) fixed(dst []byte, get func() ([]byte, error)) {
	b, err := get()
	if err != nil {
		r.fail(err)
		return
	}
	if len(b) != len(dst) {
		r.invalid("a key, id, hash or signature has the wrong length")
		return
	}
	copy(dst, b)
}

// optional is fixed for a field whose empty form stands for all zero. An
// explicit zero is refused, so that a value has one encoding.
func (r *reader) optional(dst []byte, get func() ([]byte, error)) {
	b, err := get()
	if err != nil {
		r.fail(err)
		return
	}
	if len(b) == 0 {
		return
	}
	if len(b) != len(dst) || allZero(b) {
		r.invalid("an optional field is empty or has its full length")
		return
	}
	copy(dst, b)
}

// text copies a text of at most limit bytes.
func (r *reader) text(limit int, get func() (string, error)) string {
	s, err := get()
	if err != nil {
		r.fail(err)
		return ""
	}
	if len(s) > limit {
		r.invalid("a text is longer than its bound")
		return ""
	}
	return s
}

// data copies a byte string of at most limit bytes; empty becomes nil.
func (r *reader) data(limit int, get func() ([]byte, error)) []byte {
	b, err := get()
	if err != nil {
		r.fail(err)
		return nil
	}
	if len(b) > limit {
		r.invalid("a byte string is longer than its bound")
		return nil
	}
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// count checks a list's length.
func (r *reader) count(n, limit int) int {
	if n > limit {
		r.invalid("a list is longer than its bound")
		return 0
	}
	return n
}

func (r *reader) kind(v uint8) api.Kind {
	k := api.Kind(v)
	if v != 0 && k.String() == api.Other.String() {
		r.invalid("an unknown error kind")
	}
	return k
}

// unlessZero returns b, or nil when it is all zero: the encoding of optional.
func unlessZero(b []byte) []byte {
	if allZero(b) {
		return nil
	}
	return b
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// firstOf returns the first error.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
