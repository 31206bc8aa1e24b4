package tab

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"strings"

	"inos/kernel/api"
)

// Kinds of message.
const (
	kindCall = iota + 1
	kindBody
	kindBodyEnd
	kindCancel
	kindTaken
	kindResult
	kindFailure
	kindItem
	kindOutput
	kindBodyTaken
)

// Bounds of the protocol; frontend/src/tab/calls.ts has them too.
const (
	Window    = 4 << 20   // bytes of one call under way in one direction
	piece     = 256 << 10 // bytes of one message of output
	maxCalls  = 64        // running at once
	frameHead = 5
)

// Conn is the way to the page: host/browser's Port, or a pair of channels in
// tests. Send and Receive may run at the same time.
type Conn interface {
	Send(ctx context.Context, parts ...[]byte) error
	Receive(ctx context.Context) ([]byte, error)
}

// failure is an error as the page gets it.
type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

func failureOf(err error) failure {
	text := err.Error()
	var e *api.Error
	if asError(err, &e) {
		text = e.Message()
	}
	return failure{Kind: api.KindOf(err).String(), Message: strings.ToValidUTF8(text, "?")}
}

func head(kind byte, id uint32) []byte {
	return binary.LittleEndian.AppendUint32([]byte{kind}, id)
}

// sendJSON sends a value; one that is too long for a message becomes a failure.
func sendJSON(ctx context.Context, c Conn, kind byte, id uint32, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		err = c.Send(ctx, head(kind, id), b)
	}
	return err
}
