package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	modulev1 "inos/protocols/gen/go/module/v1"
)

// Bounds of the messages between a host and a guest.
const (
	MaxModuleRequest  = api.MaxParams + 4096
	MaxModuleResponse = 64 << 10
	MaxModuleMessage  = 1024 // bytes of an error message that are kept
)

// Span is a run of bytes in a guest's memory.
type Span struct{ Pointer, Length uint32 }

// ModuleRequest is one call as the guest reads it.
type ModuleRequest struct {
	Unit, Method    string
	Params          []byte // canonical JSON object
	Input           Span
	InputMediaType  string
	InputName       string
	OutputLimit     uint64
	JobSeed         [32]byte
	SubmittedUnixMS int64
}

// ModuleResponse is a guest's answer: an output, or a failure when Kind is set.
type ModuleResponse struct {
	Output    Span
	MediaType string

	Kind    string // name of the failure's kind; "" means success
	Message string
}

// EncodeModuleRequest writes a request as one segment in stream framing.
func EncodeModuleRequest(q ModuleRequest) ([]byte, error) {
	const op = "wire.encodemodulerequest"
	b, err := newModuleRecord(op, func(seg *capnp.Segment) error {
		root, err := modulev1.NewRootRequest(seg)
		if err != nil {
			return err
		}
		root.SetOutputLimit(q.OutputLimit)
		root.SetSubmittedUnixMs(q.SubmittedUnixMS)
		return firstOf(
			root.SetUnit(q.Unit), root.SetMethod(q.Method), root.SetParams(q.Params), putSpan(root.NewInput, q.Input),
			root.SetInputMediaType(q.InputMediaType), root.SetInputName(q.InputName), root.SetJobSeed(q.JobSeed[:]),
		)
	})
	if err == nil && len(b) > MaxModuleRequest {
		return nil, api.Errorf(op, api.Invalid, "the parameters and names are larger than a request may be")
	}
	return b, err
}

func putSpan(get func() (modulev1.Span, error), s Span) error {
	v, err := get()
	if err != nil {
		return err
	}
	v.SetPointer(s.Pointer)
	v.SetLength(s.Length)
	return nil
}

// DecodeModuleRequest is what a guest does; tests and Go guests use it.
func DecodeModuleRequest(b []byte) (ModuleRequest, error) {
	const op = "wire.decodemodulerequest"
	var q ModuleRequest
	msg, err := openModuleRecord(op, b, MaxModuleRequest)
	if err != nil {
		return q, err
	}
	root, err := modulev1.ReadRootRequest(msg)
	if err != nil {
		return q, api.E(op, api.Invalid, err)
	}
	r := &reader{}
	q.Unit = r.text(MaxModuleName, root.Unit)
	q.Method = r.text(MaxModuleName, root.Method)
	q.Params = r.data(api.MaxParams, root.Params)
	q.Input = getSpan(r, root.Input)
	q.InputMediaType = r.text(MaxModuleMedia, root.InputMediaType)
	q.InputName = r.text(MaxModuleMedia, root.InputName)
	q.OutputLimit = root.OutputLimit()
	r.fixed(q.JobSeed[:], root.JobSeed)
	q.SubmittedUnixMS = root.SubmittedUnixMs()
	if r.err != nil {
		return ModuleRequest{}, api.E(op, api.Invalid, r.err)
	}
	return q, nil
}

func getSpan(r *reader, get func() (modulev1.Span, error)) Span {
	v, err := get()
	if err != nil {
		r.fail(err)
		return Span{}
	}
	return Span{Pointer: v.Pointer(), Length: v.Length()}
}

// EncodeModuleResponse is what a guest does; tests and Go guests use it.
func EncodeModuleResponse(p ModuleResponse) ([]byte, error) {
	return newModuleRecord("wire.encodemoduleresponse", func(seg *capnp.Segment) error {
		root, err := modulev1.NewRootResponse(seg)
		if err != nil {
			return err
		}
		if p.Kind != "" {
			f, err := root.NewError()
			if err != nil {
				return err
			}
			return firstOf(f.SetKind(p.Kind), f.SetMessage_(p.Message))
		}
		o, err := root.NewOk()
		if err != nil {
			return err
		}
		return firstOf(putSpan(o.NewOutput, p.Output), o.SetMediaType(p.MediaType))
	})
}

// DecodeModuleResponse reads a guest's answer. b may be changed by the guest
// afterwards: nothing of it is kept. A long message is cut.
func DecodeModuleResponse(b []byte) (ModuleResponse, error) {
	const op = "wire.decodemoduleresponse"
	var p ModuleResponse
	o := openers.Get().(*opener)
	defer o.close()
	msg, err := o.open(op, b, MaxModuleResponse)
	if err != nil {
		return p, err
	}
	root, err := modulev1.ReadRootResponse(msg)
	if err != nil {
		return p, api.E(op, api.Invalid, err)
	}
	r := &reader{}
	switch root.Which() {
	case modulev1.Response_Which_ok:
		o, err := root.Ok()
		if err != nil {
			return p, api.E(op, api.Invalid, err)
		}
		p.Output = getSpan(r, o.Output)
		p.MediaType = r.text(MaxModuleMedia, o.MediaType)
	case modulev1.Response_Which_error:
		f, err := root.Error()
		if err != nil {
			return p, api.E(op, api.Invalid, err)
		}
		p.Kind = r.text(MaxModuleName, f.Kind)
		p.Message = r.text(MaxModuleResponse, f.Message_)
		if len(p.Message) > MaxModuleMessage {
			p.Message = p.Message[:MaxModuleMessage]
		}
		if p.Kind == "" && r.err == nil {
			r.invalid("a failure names no kind")
		}
	default:
		r.invalid("the response is neither an output nor a failure")
	}
	if r.err != nil {
		return ModuleResponse{}, api.E(op, api.Invalid, r.err)
	}
	return p, nil
}
