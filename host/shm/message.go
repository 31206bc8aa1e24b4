package shm

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// Op is what a process asks on the attach socket.
type Op uint32

// Role is what a lease may do.
type Role uint32

// The roles. Whatever the role, the arena itself is mapped read-only: a writer
// writes to regions of its own.
const (
	RoleRead  Role = layout.RoleRead
	RoleWrite Role = layout.RoleWrite
)

// String is "read" or "write".
func (r Role) String() string {
	if r == RoleWrite {
		return "write"
	}
	return "read"
}

// Request is one attachRequest of the layout.
type Request struct {
	Op         Op
	Role       Role
	Cell       uint32
	Region     uint32
	End        uint32
	Size       uint64
	MaxMessage uint32
	Name       string // at most layout.AttachRequestNameBytes
}

// Answer is one attachAnswer of the layout. Err is what a refusal says.
type Answer struct {
	Err    error
	Lease  uint32
	Owner  uint32
	Region uint32
	Files  uint32
	Size   uint64
}

// EncodeRequest renders r. Invalid for a name that is too long.
func EncodeRequest(r Request) ([]byte, error) {
	if len(r.Name) > layout.AttachRequestNameBytes {
		return nil, api.Errorf("shm.request", api.Invalid, "a name has at most 96 bytes")
	}
	b := make([]byte, layout.AttachRequestSize)
	le := binary.LittleEndian
	le.PutUint32(b[layout.AttachRequestAtVersion:], layout.Version)
	le.PutUint32(b[layout.AttachRequestAtOp:], uint32(r.Op))
	le.PutUint32(b[layout.AttachRequestAtRole:], uint32(r.Role))
	le.PutUint32(b[layout.AttachRequestAtCell:], r.Cell)
	le.PutUint32(b[layout.AttachRequestAtRegion:], r.Region)
	le.PutUint32(b[layout.AttachRequestAtEnd:], r.End)
	le.PutUint64(b[layout.AttachRequestAtSize:], r.Size)
	le.PutUint32(b[layout.AttachRequestAtMaxMessage:], r.MaxMessage)
	le.PutUint32(b[layout.AttachRequestAtNameLength:], uint32(len(r.Name)))
	copy(b[layout.AttachRequestAtName:], r.Name)
	return b, nil
}

// DecodeRequest reads what EncodeRequest wrote. Errors: Unsupported for another
// version; Invalid.
func DecodeRequest(b []byte) (Request, error) {
	const op = "shm.request"
	if len(b) != layout.AttachRequestSize {
		return Request{}, api.Errorf(op, api.Invalid, "a request has 256 bytes")
	}
	le := binary.LittleEndian
	if le.Uint32(b[layout.AttachRequestAtVersion:]) != layout.Version {
		return Request{}, api.Errorf(op, api.Unsupported, "the process was built for another version of the arena's layout; build it with the offsets of this one")
	}
	n := le.Uint32(b[layout.AttachRequestAtNameLength:])
	if n > layout.AttachRequestNameBytes || !printable(string(b[layout.AttachRequestAtName:][:n])) {
		return Request{}, api.Errorf(op, api.Invalid, "a name has at most 96 bytes of UTF-8 and no control characters")
	}
	return Request{
		Op: Op(le.Uint32(b[layout.AttachRequestAtOp:])), Role: Role(le.Uint32(b[layout.AttachRequestAtRole:])),
		Cell: le.Uint32(b[layout.AttachRequestAtCell:]), Region: le.Uint32(b[layout.AttachRequestAtRegion:]),
		End: le.Uint32(b[layout.AttachRequestAtEnd:]), Size: le.Uint64(b[layout.AttachRequestAtSize:]),
		MaxMessage: le.Uint32(b[layout.AttachRequestAtMaxMessage:]), Name: string(b[layout.AttachRequestAtName:][:n]),
	}, nil
}

// printable reports whether a name may be shown on a terminal as it is.
func printable(name string) bool {
	return utf8.ValidString(name) && strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// EncodeAnswer renders a. A refusal's message is cut to what fits.
func EncodeAnswer(a Answer) []byte {
	b := make([]byte, layout.AttachAnswerSize)
	le := binary.LittleEndian
	if a.Err != nil {
		msg := refusal(a.Err)
		le.PutUint32(b[layout.AttachAnswerAtFailed:], 1)
		le.PutUint32(b[layout.AttachAnswerAtKind:], uint32(api.KindOf(a.Err)))
		le.PutUint32(b[layout.AttachAnswerAtMessageLength:], uint32(copy(b[layout.AttachAnswerAtMessage:], msg)))
		return b
	}
	le.PutUint32(b[layout.AttachAnswerAtLease:], a.Lease)
	le.PutUint32(b[layout.AttachAnswerAtOwner:], a.Owner)
	le.PutUint32(b[layout.AttachAnswerAtRegion:], a.Region)
	le.PutUint32(b[layout.AttachAnswerAtFiles:], a.Files)
	le.PutUint64(b[layout.AttachAnswerAtSize:], a.Size)
	return b
}

// refusal is the text of err that fits an answer, cut between characters.
func refusal(err error) string {
	msg := err.Error()
	if e, ok := err.(*api.Error); ok { //nolint:errorlint // the outermost speaks
		msg = e.Message()
	}
	for n := layout.AttachAnswerMessageBytes; len(msg) > layout.AttachAnswerMessageBytes; n-- {
		if utf8.RuneStart(msg[n]) {
			msg = msg[:n]
		}
	}
	return msg
}

// DecodeAnswer reads what EncodeAnswer wrote. A refusal comes back in Err, with
// its kind; an answer that is none is the error.
func DecodeAnswer(b []byte) (Answer, error) {
	const op = "shm.answer"
	le := binary.LittleEndian
	if len(b) != layout.AttachAnswerSize || le.Uint32(b[layout.AttachAnswerAtFailed:]) > 1 || le.Uint32(b[layout.AttachAnswerAtFiles:]) > 1 {
		return Answer{}, api.Errorf(op, api.Corrupt, "the answer is not a node's")
	}
	if le.Uint32(b[layout.AttachAnswerAtFailed:]) == 1 {
		n := min(le.Uint32(b[layout.AttachAnswerAtMessageLength:]), layout.AttachAnswerMessageBytes)
		kind := api.Kind(min(le.Uint32(b[layout.AttachAnswerAtKind:]), 255))
		return Answer{Err: api.Errorf("node.attach", api.KindNamed(kind.String()), string(b[layout.AttachAnswerAtMessage:][:n]))}, nil
	}
	return Answer{
		Lease: le.Uint32(b[layout.AttachAnswerAtLease:]), Owner: le.Uint32(b[layout.AttachAnswerAtOwner:]),
		Region: le.Uint32(b[layout.AttachAnswerAtRegion:]), Files: le.Uint32(b[layout.AttachAnswerAtFiles:]),
		Size: le.Uint64(b[layout.AttachAnswerAtSize:]),
	}, nil
}
