package wire

import (
	"strings"

	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	syscallv1 "inos/protocols/gen/go/syscall/v1"
)

// SyscallCompletion answers one request.
type SyscallCompletion struct {
	ID     uint64
	Result SyscallResult
}

// SyscallResult is the outcome of a request: one of the types below.
type SyscallResult interface{ syscallResult() }

// The results.
type (
	// FetchDone answers FetchChunk.
	FetchDone struct {
		Data Span
		Size uint64 // of the whole block or file
	}
	// StoreDone answers StoreChunk.
	StoreDone struct {
		Link    string
		Size    uint64
		Address api.Address // of the root, or of the block
	}
	// SendDone answers SendMessage.
	SendDone struct {
		Sequence uint64
		Receipt  []byte // an encoded MessageReceipt
	}
	// SpawnDone answers SpawnThread.
	SpawnDone struct{ Thread uint64 }
	// KillDone answers KillThread.
	KillDone struct{}
	// HostDone answers HostCall.
	HostDone struct {
		Code   uint32
		Detail string
		Data   Span
	}
	// AwaitDone answers AwaitThread.
	AwaitDone struct {
		Data Span
		Gas  uint64
	}
	// SyscallFailed answers any of them.
	SyscallFailed struct {
		Kind    api.Kind
		Message string
	}
)

func (FetchDone) syscallResult()     {}
func (StoreDone) syscallResult()     {}
func (SendDone) syscallResult()      {}
func (SpawnDone) syscallResult()     {}
func (KillDone) syscallResult()      {}
func (HostDone) syscallResult()      {}
func (AwaitDone) syscallResult()     {}
func (SyscallFailed) syscallResult() {}

// EncodeSyscallCompletion writes a completion as one segment in stream framing.
// A long message of a failure is cut.
func EncodeSyscallCompletion(c SyscallCompletion) ([]byte, error) {
	const op = "wire.encodesyscallcompletion"
	b, err := newModuleRecord(op, func(seg *capnp.Segment) error {
		root, err := syscallv1.NewRootCompletion(seg)
		if err != nil {
			return err
		}
		root.SetId(c.ID)
		return putSyscallResult(root, c.Result)
	})
	if err == nil && len(b) > MaxSyscall {
		return nil, api.Errorf(op, api.Invalid, "a completion has at most 4,096 bytes")
	}
	return b, err
}

func putSyscallResult(root syscallv1.Completion, result SyscallResult) error {
	switch v := result.(type) {
	case FetchDone:
		f, err := root.NewFetched()
		if err != nil {
			return err
		}
		f.SetSize(v.Size)
		return putBytes(f.NewData, v.Data)
	case StoreDone:
		s, err := root.NewStored()
		if err != nil {
			return err
		}
		s.SetSize(v.Size)
		return firstOf(s.SetLink(v.Link), s.SetAddress(unlessZero(v.Address[:])))
	case SendDone:
		s, err := root.NewSent()
		if err != nil {
			return err
		}
		s.SetSequence(v.Sequence)
		return s.SetReceipt(v.Receipt)
	case SpawnDone:
		root.SetSpawned(v.Thread)
	case KillDone:
		root.SetKilled()
	case HostDone:
		a, err := root.NewAnswered()
		if err != nil {
			return err
		}
		a.SetCode(v.Code)
		return firstOf(a.SetDetail(v.Detail), putBytes(a.NewData, v.Data))
	case AwaitDone:
		e, err := root.NewEnded()
		if err != nil {
			return err
		}
		e.SetGas(v.Gas)
		return putBytes(e.NewData, v.Data)
	case SyscallFailed:
		f, err := root.NewError()
		if err != nil {
			return err
		}
		return firstOf(f.SetKind(v.Kind.String()), f.SetMessage_(cut(v.Message, MaxSyscallFailure)))
	default:
		return api.Errorf("wire.encodesyscallcompletion", api.Invalid, "a completion has one of the results")
	}
	return nil
}

// cut shortens a text to at most n bytes of valid UTF-8.
func cut(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

// DecodeSyscallCompletion is what a guest does; tests and Go guests use it.
func DecodeSyscallCompletion(b []byte) (SyscallCompletion, error) {
	const op = "wire.decodesyscallcompletion"
	var c SyscallCompletion
	msg, err := openModuleRecord(op, b, MaxSyscall)
	if err != nil {
		return c, err
	}
	root, err := syscallv1.ReadRootCompletion(msg)
	if err != nil {
		return c, api.E(op, api.Invalid, err)
	}
	r := &reader{}
	c.ID, c.Result = root.Id(), syscallResult(r, root)
	if r.err != nil {
		return SyscallCompletion{}, api.E(op, api.Invalid, r.err)
	}
	return c, nil
}

func syscallResult(r *reader, root syscallv1.Completion) SyscallResult {
	switch root.Which() {
	case syscallv1.Completion_Which_fetched:
		return resultOf(r, root.Fetched, func(r *reader, f syscallv1.Fetched) SyscallResult {
			return FetchDone{Data: getBytes(r, f.Data), Size: f.Size()}
		})
	case syscallv1.Completion_Which_stored:
		return resultOf(r, root.Stored, func(r *reader, s syscallv1.Stored) SyscallResult {
			d := StoreDone{Link: r.text(MaxSyscallText, s.Link), Size: s.Size()}
			r.optional(d.Address[:], s.Address)
			return d
		})
	case syscallv1.Completion_Which_sent:
		return resultOf(r, root.Sent, func(r *reader, s syscallv1.Sent) SyscallResult {
			return SendDone{Sequence: s.Sequence(), Receipt: r.data(MaxReceiptRecord, s.Receipt)}
		})
	case syscallv1.Completion_Which_spawned:
		return SpawnDone{root.Spawned()}
	case syscallv1.Completion_Which_killed:
		return KillDone{}
	case syscallv1.Completion_Which_answered:
		return resultOf(r, root.Answered, func(r *reader, a syscallv1.Answered) SyscallResult {
			return HostDone{Code: a.Code(), Detail: r.text(MaxSyscallText, a.Detail), Data: getBytes(r, a.Data)}
		})
	case syscallv1.Completion_Which_ended:
		return resultOf(r, root.Ended, func(r *reader, e syscallv1.Ended) SyscallResult {
			return AwaitDone{Data: getBytes(r, e.Data), Gas: e.Gas()}
		})
	case syscallv1.Completion_Which_error:
		return resultOf(r, root.Error, func(r *reader, f syscallv1.Failure) SyscallResult {
			return SyscallFailed{Kind: api.KindNamed(r.text(MaxModuleName, f.Kind)), Message: r.text(MaxSyscallFailure, f.Message_)}
		})
	}
	r.invalid("the completion has no result")
	return nil
}

func resultOf[S any](r *reader, get func() (S, error), read func(*reader, S) SyscallResult) SyscallResult {
	s, err := get()
	if err != nil {
		r.fail(err)
		return nil
	}
	return read(r, s)
}
