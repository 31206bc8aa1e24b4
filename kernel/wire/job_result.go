package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	jobv1 "inos/protocols/gen/go/job/v1"
)

func checkResult(op string, v *api.JobResult) error {
	if len(v.Message) > MaxResultText || len(v.Log) > MaxResultLog || len(v.MediaType) > MaxMediaType || len(v.Receipts) > MaxReceipts {
		return api.Errorf(op, api.Invalid, "a result has at most 1 KiB of message, 8 KiB of log, 128 bytes of media type and 64 receipts")
	}
	return nil
}

func setResult(m jobv1.Result, v *api.JobResult) error {
	if err := checkResult("wire.encoderesult", v); err != nil {
		return err
	}
	m.SetEscrow(v.Escrow)
	m.SetKind(uint8(v.Kind))
	m.SetGas(v.Gas)
	m.SetOutputSize(v.OutputSize)
	m.SetRunUs(v.RunUS)
	output, err1 := m.NewOutput()
	receipts, err2 := m.NewReceipts(int32(len(v.Receipts)))
	if err := firstOf(err1, err2); err != nil {
		return err
	}
	for i := range v.Receipts {
		if err := setJobReceipt(receipts.At(i), &v.Receipts[i]); err != nil {
			return err
		}
	}
	return firstOf(m.SetId(v.ID[:]), m.SetWorker(v.Worker[:]), m.SetReason(v.Message), setLink(output, v.Output),
		m.SetOutputHash(unlessZero(v.OutputHash[:])), m.SetMediaType(v.MediaType), m.SetSig(v.Sig[:]), m.SetLog(v.Log))
}

func (r *reader) result(m jobv1.Result) api.JobResult {
	v := api.JobResult{
		Escrow: m.Escrow(), Kind: r.kind(m.Kind()), Message: r.text(MaxResultText, m.Reason), Gas: m.Gas(),
		Output: r.link(m.Output()), OutputSize: m.OutputSize(), MediaType: r.text(MaxMediaType, m.MediaType), RunUS: m.RunUs(),
		Log: r.text(MaxResultLog, m.Log),
	}
	r.fixed(v.ID[:], m.Id)
	r.fixed(v.Worker[:], m.Worker)
	r.optional(v.OutputHash[:], m.OutputHash)
	r.fixed(v.Sig[:], m.Sig)
	list, err := m.Receipts()
	r.fail(err)
	if n := r.count(list.Len(), MaxReceipts); n > 0 {
		v.Receipts = make([]api.Receipt, n)
	}
	for i := range v.Receipts {
		v.Receipts[i] = r.jobReceipt(list.At(i))
	}
	return v
}

func setJobReceipt(m jobv1.Receipt, v *api.Receipt) error {
	m.SetCount(v.Count)
	m.SetBytes(v.Bytes)
	m.SetTime(v.Time)
	return firstOf(m.SetHolder(v.Holder[:]), m.SetLease(v.Lease[:]), m.SetBlocks(v.Blocks[:]), m.SetSig(v.Sig[:]))
}

func (r *reader) jobReceipt(m jobv1.Receipt) api.Receipt {
	v := api.Receipt{Count: m.Count(), Bytes: m.Bytes(), Time: m.Time()}
	r.fixed(v.Holder[:], m.Holder)
	r.fixed(v.Lease[:], m.Lease)
	r.fixed(v.Blocks[:], m.Blocks)
	r.fixed(v.Sig[:], m.Sig)
	return v
}

// EncodeResult and DecodeResult carry one signed result. Neither checks the signature.
func EncodeResult(v api.JobResult) ([]byte, error) {
	return newRecord("wire.encoderesult", func(seg *capnp.Segment) error {
		m, err := jobv1.NewRootResult(seg)
		return firstOf(err, setResult(m, &v))
	})
}

// DecodeResult reads what EncodeResult writes.
func DecodeResult(b []byte) (api.JobResult, error) {
	const op = "wire.decoderesult"
	msg, err := openRecord(op, b, MaxResultsSize/MaxResults)
	if err != nil {
		return api.JobResult{}, err
	}
	m, err := jobv1.ReadRootResult(msg)
	if err != nil {
		return api.JobResult{}, api.E(op, api.Invalid, err)
	}
	var r reader
	v := r.result(m)
	if r.err != nil {
		return api.JobResult{}, api.E(op, api.Invalid, r.err)
	}
	return v, nil
}

// EncodeResults and DecodeResults carry up to MaxResults results.
func EncodeResults(results []api.JobResult) ([]byte, error) {
	const op = "wire.encoderesults"
	if len(results) > MaxResults {
		return nil, api.Errorf(op, api.Invalid, "an answer has at most 64 results")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := jobv1.NewRootResults(seg)
		if err != nil {
			return err
		}
		list, err := m.NewResults(int32(len(results)))
		if err != nil {
			return err
		}
		for i := range results {
			if err := setResult(list.At(i), &results[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// DecodeResults reads what EncodeResults writes.
func DecodeResults(b []byte) ([]api.JobResult, error) {
	const op = "wire.decoderesults"
	msg, err := openRecord(op, b, MaxResultsSize)
	if err != nil {
		return nil, err
	}
	m, err := jobv1.ReadRootResults(msg)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	list, err := m.Results()
	r := reader{err: err}
	out := make([]api.JobResult, r.count(list.Len(), MaxResults))
	for i := range out {
		out[i] = r.result(list.At(i))
	}
	if r.err != nil {
		return nil, api.E(op, api.Invalid, r.err)
	}
	return out, nil
}
