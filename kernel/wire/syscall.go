package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	syscallv1 "inos/protocols/gen/go/syscall/v1"
)

// Bounds of the messages of a system call. Data travels beside them, in the
// guest's memory.
const (
	MaxSyscall         = 4 << 10  // bytes of a request or a completion: a quarter of a ring's data
	MaxSyscallText     = 2 << 10  // a link, an argument or a thread's parameters
	MaxSyscallFailure  = 512      // a failure's message; the rest is cut
	MaxSyscallTransfer = 16 << 20 // bytes that one fetch, store or thread moves
	MaxModuleMessageIn = 64 << 10 // bytes of a message between modules
	MaxHostData        = 256 << 10
	MaxReceiptRecord   = 1 << 10 // an encoded MessageReceipt
)

// SyscallRequest is one system call as the guest wrote it.
type SyscallRequest struct {
	ID         uint64
	Source     api.Hash // zero: the guest named none
	DeadlineMS uint32   // 0: none of its own
	Op         SyscallOp
}

// SyscallOp is what a request asks for: one of the types below.
type SyscallOp interface{ syscallOp() }

// The requests.
type (
	// FetchChunk reads a range of the job's input, an object's file or a block.
	FetchChunk struct {
		Link    string      // of an object
		Address api.Address // of a block; with neither, the job's input is meant
		Path    string
		Offset  uint64
		Length  uint32
		Into    Span // where to; zero: memory from inos_alloc
	}
	// StoreChunk stores bytes as an object of the job's owner, or as a block.
	StoreChunk struct {
		Data   Span
		Name   string
		Public bool
		Block  bool // the bytes are kept as they are
	}
	// SendMessage puts bytes into a module's mailbox.
	SendMessage struct {
		Node, Module string
		Data         Span
	}
	// SpawnThread runs a method of the same module beside the caller.
	SpawnThread struct {
		Unit, Method, Params string
		Input                Span
		Gas                  uint64
	}
	// KillThread ends a thread.
	KillThread struct{ Thread uint64 }
	// AwaitThread waits for a thread and takes its output.
	AwaitThread struct{ Thread uint64 }
	// HostCall asks a named service of the node.
	HostCall struct {
		Service, Operation, Argument string
		Data                         Span
	}
)

func (FetchChunk) syscallOp()  {}
func (StoreChunk) syscallOp()  {}
func (SendMessage) syscallOp() {}
func (SpawnThread) syscallOp() {}
func (KillThread) syscallOp()  {}
func (AwaitThread) syscallOp() {}
func (HostCall) syscallOp()    {}

// EncodeSyscallRequest is what a guest does; tests and Go guests use it.
func EncodeSyscallRequest(q SyscallRequest) ([]byte, error) {
	const op = "wire.encodesyscallrequest"
	b, err := newModuleRecord(op, func(seg *capnp.Segment) error {
		root, err := syscallv1.NewRootRequest(seg)
		if err != nil {
			return err
		}
		root.SetId(q.ID)
		root.SetDeadlineMs(q.DeadlineMS)
		return firstOf(root.SetSourceModuleId(unlessZero(q.Source[:])), putSyscallOp(root, q.Op))
	})
	if err == nil && len(b) > MaxSyscall {
		return nil, api.Errorf(op, api.Invalid, "a system call's request has at most 4,096 bytes; data travels beside it")
	}
	return b, err
}

func putSyscallOp(root syscallv1.Request, op SyscallOp) error {
	switch v := op.(type) {
	case FetchChunk:
		f, err := root.NewFetchChunk()
		if err != nil {
			return err
		}
		f.SetOffset(v.Offset)
		f.SetLength(v.Length)
		switch {
		case v.Link != "":
			err = f.SetLink(v.Link)
		case !v.Address.IsZero():
			err = f.SetAddress(v.Address[:])
		default:
			f.SetInput()
		}
		return firstOf(err, f.SetPath(v.Path), putBytes(f.NewInto, v.Into))
	case StoreChunk:
		s, err := root.NewStoreChunk()
		if err != nil {
			return err
		}
		s.SetPublic(v.Public)
		s.SetBlock(v.Block)
		return firstOf(putBytes(s.NewData, v.Data), s.SetName(v.Name))
	case SendMessage:
		s, err := root.NewSendMessage()
		if err != nil {
			return err
		}
		return firstOf(s.SetNode(v.Node), s.SetModule(v.Module), putBytes(s.NewData, v.Data))
	case SpawnThread:
		s, err := root.NewSpawnThread()
		if err != nil {
			return err
		}
		s.SetGas(v.Gas)
		return firstOf(s.SetUnit(v.Unit), s.SetMethod(v.Method), s.SetParams(v.Params), putBytes(s.NewInput, v.Input))
	case KillThread:
		root.SetKillThread(v.Thread)
	case AwaitThread:
		root.SetAwaitThread(v.Thread)
	case HostCall:
		h, err := root.NewHostCall()
		if err != nil {
			return err
		}
		return firstOf(h.SetService(v.Service), h.SetOperation(v.Operation), h.SetArgument(v.Argument), putBytes(h.NewData, v.Data))
	default:
		return api.Errorf("wire.encodesyscallrequest", api.Invalid, "a request asks for one of the system calls")
	}
	return nil
}

func putBytes(get func() (syscallv1.Bytes, error), s Span) error {
	if s == (Span{}) {
		return nil
	}
	v, err := get()
	if err != nil {
		return err
	}
	v.SetPointer(s.Pointer)
	v.SetLength(s.Length)
	return nil
}

func getBytes(r *reader, get func() (syscallv1.Bytes, error)) Span {
	v, err := get()
	if err != nil {
		r.fail(err)
		return Span{}
	}
	return Span{Pointer: v.Pointer(), Length: v.Length()}
}

// DecodeSyscallRequest reads what a guest submitted. Nothing of b is kept. What
// spans point at is not looked at.
func DecodeSyscallRequest(b []byte) (SyscallRequest, error) {
	const op = "wire.decodesyscallrequest"
	var q SyscallRequest
	msg, err := openModuleRecord(op, b, MaxSyscall)
	if err != nil {
		return q, err
	}
	root, err := syscallv1.ReadRootRequest(msg)
	if err != nil {
		return q, api.E(op, api.Invalid, err)
	}
	r := &reader{}
	q.ID = root.Id()
	q.DeadlineMS = root.DeadlineMs()
	r.optional(q.Source[:], root.SourceModuleId)
	q.Op = syscallOp(r, root)
	if r.err != nil {
		// The id and the source are told even when the rest is not readable, so
		// that a refusal reaches the right request.
		return SyscallRequest{ID: q.ID, Source: q.Source}, api.E(op, api.Invalid, r.err)
	}
	return q, nil
}

func syscallOp(r *reader, root syscallv1.Request) SyscallOp {
	switch root.Which() {
	case syscallv1.Request_Which_fetchChunk:
		return structOf(r, root.FetchChunk, fetchOp)
	case syscallv1.Request_Which_storeChunk:
		return structOf(r, root.StoreChunk, func(r *reader, s syscallv1.StoreChunk) SyscallOp {
			return StoreChunk{Data: getBytes(r, s.Data), Name: r.text(MaxModuleMedia, s.Name), Public: s.Public(), Block: s.Block()}
		})
	case syscallv1.Request_Which_sendMessage:
		return structOf(r, root.SendMessage, func(r *reader, s syscallv1.SendMessage) SyscallOp {
			return SendMessage{Node: r.text(MaxModuleMedia, s.Node), Module: r.text(MaxModuleMedia, s.Module), Data: getBytes(r, s.Data)}
		})
	case syscallv1.Request_Which_spawnThread:
		return structOf(r, root.SpawnThread, func(r *reader, s syscallv1.SpawnThread) SyscallOp {
			return SpawnThread{
				Unit: r.text(MaxModuleName, s.Unit), Method: r.text(MaxModuleName, s.Method),
				Params: r.text(MaxSyscallText, s.Params), Input: getBytes(r, s.Input), Gas: s.Gas(),
			}
		})
	case syscallv1.Request_Which_killThread:
		return KillThread{root.KillThread()}
	case syscallv1.Request_Which_awaitThread:
		return AwaitThread{root.AwaitThread()}
	case syscallv1.Request_Which_hostCall:
		return structOf(r, root.HostCall, func(r *reader, h syscallv1.HostCall) SyscallOp {
			return HostCall{
				Service: r.text(MaxModuleName, h.Service), Operation: r.text(MaxModuleName, h.Operation),
				Argument: r.text(MaxSyscallText, h.Argument), Data: getBytes(r, h.Data),
			}
		})
	}
	r.invalid("the request asks for no system call that this node knows")
	return nil
}

// structOf reads one struct of a union.
func structOf[S any](r *reader, get func() (S, error), read func(*reader, S) SyscallOp) SyscallOp {
	s, err := get()
	if err != nil {
		r.fail(err)
		return nil
	}
	return read(r, s)
}

func fetchOp(r *reader, f syscallv1.FetchChunk) SyscallOp {
	v := FetchChunk{Path: r.text(MaxSyscallText, f.Path), Offset: f.Offset(), Length: f.Length(), Into: getBytes(r, f.Into)}
	switch f.Which() {
	case syscallv1.FetchChunk_Which_input:
	case syscallv1.FetchChunk_Which_link:
		if v.Link = r.text(MaxSyscallText, f.Link); v.Link == "" {
			r.invalid("the link is empty; name the input by input")
		}
	case syscallv1.FetchChunk_Which_address:
		r.fixed(v.Address[:], f.Address)
		if v.Address.IsZero() {
			r.invalid("the address is all zero")
		}
	default:
		r.invalid("a fetch names the input, a link or an address")
	}
	return v
}
