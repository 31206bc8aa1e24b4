//go:build js

package webwasm

import "inos/kernel/wire"

// request is a Request message without the input's place, which the worker puts in
// once the guest has said where the input lies.
type request struct {
	bytes               []byte
	pointerAt, lengthAt int
}

// requestOf encodes q three times to see where the two numbers of the span are:
// the encoding says it better than an offset written here.
func requestOf(q wire.ModuleRequest) (request, error) {
	var e wire.RequestEncoder
	const all = 1<<32 - 1
	var out request
	for _, s := range []wire.Span{{}, {Pointer: all}, {Length: all}} {
		q.Input = s
		b, err := e.Encode(q)
		if err != nil {
			return out, err
		}
		if out.bytes == nil {
			out.bytes = append(out.bytes, b...)
			continue
		}
		at := 0
		for b[at] == out.bytes[at] {
			at++
		}
		if s.Pointer != 0 {
			out.pointerAt = at
		} else {
			out.lengthAt = at
		}
	}
	return out, nil
}
