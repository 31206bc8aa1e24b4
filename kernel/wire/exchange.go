package wire

import (
	"encoding/binary"
	"math"
	"strings"

	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	meshv1 "inos/protocols/gen/go/mesh/v1"
)

// Bounds of the messages that nodes exchange on streams. A decoder refuses what
// is larger, and an encoder refuses to make it.
const (
	MaxCredential = 4 << 10 // bytes of a signed membership
	MaxMethod     = 64      // bytes of a method's name
	MaxReason     = 1 << 10 // bytes of an error message; longer ones are cut
	MaxBody       = 4 << 20 // bytes of a call's request or response

	MaxBatchBlocks = 4096    // blocks of one fetch, batch, has or lease call
	MaxBatchBytes  = 8 << 20 // block bytes of one store batch

	MaxGroupBytes = api.MaxBlock + 64<<10 // block bytes of one group of a fetch's answer

	// MaxCallFrame and MaxBlocksFrame bound the encoded messages themselves.
	MaxCallFrame   = 4 << 10
	MaxHelloFrame  = 8 << 10
	MaxBlocksFrame = MaxBatchBlocks*(32+4) + 1<<10
)

// Hello introduces a node to another.
type Hello struct {
	Instance   [16]byte // drawn when the process started
	Credential []byte   // signed membership, opaque here; aliases the message after decoding
	Kind       api.Kind // of a refusal
	Message    string   // why; not empty exactly when the listener refuses
}

// CallType tells the frames of a call apart.
type CallType uint8

// The frames of a call.
const (
	CallRequest CallType = iota
	CallResponse
	CallCancel
)

// Call is the header of one frame of a call; BodySize raw bytes follow it.
type Call struct {
	Type     CallType
	ID       uint64
	BodySize uint32

	Method    string // of a request
	TimeoutMS uint32 // of a request; 0 means none

	Failed    bool     // of a response, and so are the rest
	Kind      api.Kind // meaningful when Failed
	Message   string
	ServiceUS uint32
}

// StoreBatch is the header of one batch of blocks; their bytes follow it.
type StoreBatch struct {
	Seq   uint64
	Lease api.LeaseID
	Addrs []api.Address
	Sizes []uint32 // as long as Addrs; 1..api.MaxBlock each, MaxBatchBytes in all
}

// BlocksRequest is either a fetch of Fetch or a batch to store.
type BlocksRequest struct {
	Fetch []api.Address // nil for a batch
	Store *StoreBatch   // nil for a fetch
}

// Group is the header of consecutive blocks of a fetch's answer.
type Group struct {
	Kinds []api.Kind // 0 means served
	Sizes []uint32   // 1..api.MaxBlock for a served block, otherwise 0; MaxGroupBytes in all
}

// Stored answers one batch.
type Stored struct {
	Seq     uint64
	Receipt api.Receipt
	Failed  bool
	Kind    api.Kind
	Message string
}

// BlocksReply is either a group of a fetch's answer or the answer to a batch.
type BlocksReply struct {
	Group  *Group
	Stored *Stored
}

// LeaseCall is the body of the calls about blocks and leases.
type LeaseCall struct {
	Lease api.LeaseID
	From  api.LeaseID
	Addrs []api.Address
}

// EncodeHello and DecodeHello carry an introduction.
func EncodeHello(h Hello) ([]byte, error) {
	const op = "wire.encodehello"
	if len(h.Credential) > MaxCredential {
		return nil, api.Errorf(op, api.Invalid, "the credential is larger than 4 KiB")
	}
	return exchangeMessage(op, 128+len(h.Credential), func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootHello(seg)
		if err != nil {
			return err
		}
		m.SetKind(uint8(h.Kind))
		return firstError(
			m.SetInstance(h.Instance[:]),
			m.SetCredential(h.Credential),
			setReason(m.SetReason, h.Message),
		)
	})
}

// DecodeHello reads what EncodeHello writes.
func DecodeHello(b []byte) (Hello, error) {
	const op = "wire.decodehello"
	var h Hello
	msg, err := openExchange(op, b, MaxHelloFrame)
	if err != nil {
		return h, err
	}
	m, err := meshv1.ReadRootHello(msg)
	if err != nil {
		return h, api.E(op, api.Invalid, err)
	}
	instance, err1 := m.Instance()
	credential, err2 := m.Credential()
	reason, err3 := m.Reason()
	if err := firstError(err1, err2, err3); err != nil {
		return h, api.E(op, api.Invalid, err)
	}
	if len(instance) != len(h.Instance) || len(credential) > MaxCredential || len(reason) > MaxReason {
		return h, api.Errorf(op, api.Invalid, "an introduction has fields of the wrong size")
	}
	copy(h.Instance[:], instance)
	h.Credential, h.Kind, h.Message = credential, knownKind(m.Kind()), cleanText(reason)
	return h, nil
}

// EncodeCall writes a call's frame without its body.
func EncodeCall(c Call) ([]byte, error) {
	const op = "wire.encodecall"
	if len(c.Method) > MaxMethod || c.BodySize > MaxBody {
		return nil, api.Errorf(op, api.Invalid, "a method name has at most 64 bytes and a body at most 4 MiB")
	}
	return exchangeMessage(op, 160+len(c.Method)+min(len(c.Message), MaxReason), func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootCall(seg)
		if err != nil {
			return err
		}
		m.SetId(c.ID)
		m.SetBodySize(c.BodySize)
		switch c.Type {
		case CallRequest:
			r, err := m.NewRequest()
			if err != nil {
				return err
			}
			r.SetTimeoutMs(c.TimeoutMS)
			return r.SetMethod(c.Method)
		case CallResponse:
			r, err := m.NewResponse()
			if err != nil {
				return err
			}
			r.SetFailed(c.Failed)
			r.SetKind(uint8(c.Kind))
			r.SetServiceUs(c.ServiceUS)
			return setReason(r.SetReason, c.Message)
		default:
			m.SetCancel()
			return nil
		}
	})
}

// DecodeCall reads what EncodeCall writes.
func DecodeCall(b []byte) (Call, error) {
	const op = "wire.decodecall"
	var c Call
	msg, err := openExchange(op, b, MaxCallFrame)
	if err != nil {
		return c, err
	}
	m, err := meshv1.ReadRootCall(msg)
	if err != nil {
		return c, api.E(op, api.Invalid, err)
	}
	c.ID, c.BodySize = m.Id(), m.BodySize()
	if c.BodySize > MaxBody {
		return c, api.Errorf(op, api.Invalid, "a call's body is larger than 4 MiB")
	}
	switch m.Which() {
	case meshv1.Call_Which_request:
		err = c.readRequest(m)
	case meshv1.Call_Which_response:
		err = c.readResponse(m)
	case meshv1.Call_Which_cancel:
		c.Type = CallCancel
		if c.BodySize != 0 {
			err = api.Errorf(op, api.Invalid, "a cancel has no body")
		}
	default:
		err = api.Errorf(op, api.Invalid, "a call is a request, a response or a cancel")
	}
	if err != nil {
		return Call{}, api.E(op, api.Invalid, err)
	}
	return c, nil
}

func (c *Call) readRequest(m meshv1.Call) error {
	r, err := m.Request()
	if err != nil {
		return err
	}
	c.Type, c.TimeoutMS = CallRequest, r.TimeoutMs()
	if c.Method, err = r.Method(); err != nil {
		return err
	}
	if c.Method == "" || len(c.Method) > MaxMethod {
		return api.Errorf("wire.decodecall", api.Invalid, "a method name has 1 to 64 bytes")
	}
	return nil
}

func (c *Call) readResponse(m meshv1.Call) error {
	r, err := m.Response()
	if err != nil {
		return err
	}
	c.Type, c.Failed, c.ServiceUS = CallResponse, r.Failed(), r.ServiceUs()
	c.Kind = knownKind(r.Kind())
	text, err := r.Reason()
	if err != nil {
		return err
	}
	if len(text) > MaxReason {
		return api.Errorf("wire.decodecall", api.Invalid, "an error message is longer than 1 KiB")
	}
	c.Message = cleanText(text)
	return nil
}

// exchangeMessage builds one single-segment message in a pooled arena that
// grows as needed (an arena over a given slice could not). The ignored number
// is the caller's usual size.
func exchangeMessage(op string, _ int, build func(*capnp.Segment) error) ([]byte, error) {
	msg, seg, err := capnp.NewMessage(capnp.SingleSegment(nil))
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	defer msg.Release()
	if err := build(seg); err != nil {
		return nil, api.E(op, api.Other, err)
	}
	b, err := msg.Marshal()
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	return b, nil
}

// openExchange checks the size and the segment table before Cap'n Proto sees
// the bytes: one segment, exactly as long as it claims. The traversal limit is
// a small multiple of max, so that pointers cannot make a reader walk one list
// many times over.
func openExchange(op string, b []byte, max int) (*capnp.Message, error) {
	if len(b) < 16 || len(b) > max || binary.LittleEndian.Uint32(b) != 0 ||
		uint64(binary.LittleEndian.Uint32(b[4:]))*8 != uint64(len(b)-8) {
		return nil, api.Errorf(op, api.Invalid, "the message is not one Cap'n Proto segment of the allowed size")
	}
	msg, err := capnp.Unmarshal(b)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	msg.ResetReadLimit(uint64(4 * max))
	return msg, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// knownKind maps numbers from a newer node to Other.
func knownKind(k uint8) api.Kind { return api.KindNamed(api.Kind(k).String()) }

func setReason(set func(string) error, s string) error {
	if s == "" {
		return nil
	}
	if len(s) > MaxReason {
		s = s[:MaxReason]
	}
	return set(cleanText(s))
}

// cleanText drops what is not UTF-8, so that a peer's message prints safely,
// and every control character, so that it cannot draw on a terminal.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return -1
		}
		return r
	}, s)
}

// Millis rounds a duration in nanoseconds up to the milliseconds of a
// request's deadline, within 1 and 2^32-1.
func Millis(ns int64) uint32 {
	ms := (ns + 999_999) / 1_000_000
	return uint32(min(max(ms, 1), math.MaxUint32))
}
