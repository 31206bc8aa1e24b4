package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	jobv1 "inos/protocols/gen/go/job/v1"
)

// Bounds of the job messages.
const (
	MaxDispatch     = 64       // jobs in one dispatch
	MaxResults      = 64       // results in one answer
	MaxUnitName     = 64       // bytes of a unit's or method's name
	MaxInputPath    = 4096     // bytes of JobSpec.InputPath
	MaxResultText   = 1 << 10  // bytes of JobResult.Message
	MaxResultLog    = 8 << 10  // bytes of JobResult.Log
	MaxMediaType    = 128      // bytes of JobResult.MediaType
	MaxReceipts     = 64       // receipts in one result
	MaxDispatchSize = 8 << 20  // bytes of an encoded dispatch
	MaxResultsSize  = 2 << 20  // bytes of encoded results
	maxSpecSize     = 80 << 10 // bytes of one encoded spec: params, path and fixed fields
)

func setLink(m jobv1.Link, l api.Link) error {
	return firstOf(m.SetRoot(unlessZero(l.Root[:])), m.SetKey(unlessZero(l.Key[:])))
}

func (r *reader) link(m jobv1.Link, err error) api.Link {
	r.fail(err)
	var l api.Link
	r.optional(l.Root[:], m.Root)
	r.optional(l.Key[:], m.Key)
	if l.IsZero() && !l.Public() {
		r.invalid("a link has a key and no root")
	}
	return l
}

func setLimits(m jobv1.Limits, l api.Limits) {
	m.SetGas(l.Gas)
	m.SetMemoryBytes(l.MemoryBytes)
	m.SetOutputBytes(l.OutputBytes)
	m.SetWallMs(l.WallMS)
}

func (r *reader) limits(m jobv1.Limits, err error) api.Limits {
	r.fail(err)
	return api.Limits{Gas: m.Gas(), MemoryBytes: m.MemoryBytes(), OutputBytes: m.OutputBytes(), WallMS: m.WallMs()}
}

func checkSpec(op string, s *api.JobSpec) error {
	if len(s.Params) > api.MaxParams || len(s.Unit) > MaxUnitName || len(s.Method) > MaxUnitName || len(s.InputPath) > MaxInputPath {
		return api.Errorf(op, api.Invalid, "parameters have at most 64 KiB, names 64 bytes and a path 4 KiB")
	}
	if !s.Priority.Valid() {
		return api.Errorf(op, api.Invalid, "a priority is low, normal or high")
	}
	return nil
}

func setSpec(m jobv1.Spec, s *api.JobSpec) error {
	if err := checkSpec("wire.encodespec", s); err != nil {
		return err
	}
	moduleLink, err1 := m.NewModuleLink()
	input, err2 := m.NewInput()
	limits, err3 := m.NewLimits()
	if err := firstOf(err1, err2, err3); err != nil {
		return err
	}
	setLimits(limits, s.Limits)
	m.SetPriceCap(int64(s.PriceCap))
	m.SetDeadline(s.Deadline)
	m.SetSubmitted(s.Submitted)
	m.SetPriority(uint8(s.Priority))
	return firstOf(
		m.SetId(s.ID[:]), m.SetBatch(unlessZero(s.Batch[:])), m.SetPayer(s.Payer[:]), m.SetModule(s.Module[:]),
		setLink(moduleLink, s.ModuleLink), m.SetUnit(s.Unit), m.SetMethod(s.Method), m.SetParams(s.Params),
		setLink(input, s.Input), m.SetInputPath(s.InputPath), m.SetNode(unlessZero(s.Node[:])),
		m.SetOutputKey(unlessZero(s.OutputKey[:])),
	)
}

func (r *reader) spec(m jobv1.Spec) api.JobSpec {
	s := api.JobSpec{
		ModuleLink: r.link(m.ModuleLink()), Unit: r.text(MaxUnitName, m.Unit), Method: r.text(MaxUnitName, m.Method),
		Params: r.data(api.MaxParams, m.Params), Input: r.link(m.Input()), InputPath: r.text(MaxInputPath, m.InputPath),
		Limits: r.limits(m.Limits()), PriceCap: api.Credits(m.PriceCap()), Deadline: m.Deadline(), Submitted: m.Submitted(),
		Priority: api.Priority(m.Priority()),
	}
	if !s.Priority.Valid() {
		r.invalid("a priority is low, normal or high")
	}
	r.fixed(s.ID[:], m.Id)
	r.optional(s.Batch[:], m.Batch)
	r.fixed(s.Payer[:], m.Payer)
	r.fixed(s.Module[:], m.Module)
	r.optional(s.Node[:], m.Node)
	r.optional(s.OutputKey[:], m.OutputKey)
	return s
}

// EncodeSpec and DecodeSpec carry one job's specification. It holds secrets:
// the input's and the output's keys.
func EncodeSpec(s api.JobSpec) ([]byte, error) {
	return newRecord("wire.encodespec", func(seg *capnp.Segment) error {
		m, err := jobv1.NewRootSpec(seg)
		return firstOf(err, setSpec(m, &s))
	})
}

// DecodeSpec reads what EncodeSpec writes.
func DecodeSpec(b []byte) (api.JobSpec, error) {
	const op = "wire.decodespec"
	msg, err := openRecord(op, b, maxSpecSize)
	if err != nil {
		return api.JobSpec{}, err
	}
	m, err := jobv1.ReadRootSpec(msg)
	if err != nil {
		return api.JobSpec{}, api.E(op, api.Invalid, err)
	}
	var r reader
	s := r.spec(m)
	if r.err != nil {
		return api.JobSpec{}, api.E(op, api.Invalid, r.err)
	}
	return s, nil
}

// EncodeDispatch and DecodeDispatch carry a dispatch of 1..MaxDispatch jobs.
func EncodeDispatch(jobs []api.Dispatch) ([]byte, error) {
	const op = "wire.encodedispatch"
	if len(jobs) == 0 || len(jobs) > MaxDispatch {
		return nil, api.Errorf(op, api.Invalid, "a dispatch has 1 to 64 jobs")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := jobv1.NewRootDispatches(seg)
		if err != nil {
			return err
		}
		list, err := m.NewJobs(int32(len(jobs)))
		if err != nil {
			return err
		}
		for i := range jobs {
			if err := setDispatch(list.At(i), &jobs[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func setDispatch(m jobv1.Dispatch, d *api.Dispatch) error {
	m.SetAttempt(d.Attempt)
	spec, err := m.NewSpec()
	if err := firstOf(err, setSpec(spec, &d.Spec)); err != nil {
		return err
	}
	if d.Escrow == (api.Escrow{}) {
		return nil
	}
	e, err := m.NewEscrow()
	return firstOf(err, setEscrow(e, &d.Escrow))
}

// DecodeDispatch reads what EncodeDispatch writes.
func DecodeDispatch(b []byte) ([]api.Dispatch, error) {
	const op = "wire.decodedispatch"
	msg, err := openRecord(op, b, MaxDispatchSize)
	if err != nil {
		return nil, err
	}
	m, err := jobv1.ReadRootDispatches(msg)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	list, err := m.Jobs()
	r := reader{err: err}
	out := make([]api.Dispatch, r.count(list.Len(), MaxDispatch))
	if len(out) == 0 {
		r.invalid("a dispatch has 1 to 64 jobs")
	}
	for i := range out {
		out[i] = r.dispatch(list.At(i))
	}
	if r.err != nil {
		return nil, api.E(op, api.Invalid, r.err)
	}
	return out, nil
}

func (r *reader) dispatch(m jobv1.Dispatch) api.Dispatch {
	d := api.Dispatch{Attempt: m.Attempt()}
	spec, err := m.Spec()
	r.fail(err)
	d.Spec = r.spec(spec)
	if m.HasEscrow() {
		e, err := m.Escrow()
		r.fail(err)
		d.Escrow = r.escrow(e)
		if d.Escrow == (api.Escrow{}) {
			r.invalid("an escrow is absent or not all zero")
		}
	}
	return d
}
