package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	jobv1 "inos/protocols/gen/go/job/v1"
)

const maxQuoteSize = 1 << 10 // bytes of an encoded quote, request or stop

// EncodeQuoteRequest and DecodeQuoteRequest carry the question what a call costs.
func EncodeQuoteRequest(q api.QuoteRequest) ([]byte, error) {
	const op = "wire.encodequoterequest"
	if len(q.Unit) > MaxUnitName || len(q.Method) > MaxUnitName {
		return nil, api.Errorf(op, api.Invalid, "a unit's and a method's name have at most 64 bytes")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := jobv1.NewRootQuoteRequest(seg)
		if err != nil {
			return err
		}
		limits, err := m.NewLimits()
		if err != nil {
			return err
		}
		setLimits(limits, q.Limits)
		return firstOf(m.SetModule(unlessZero(q.Module[:])), m.SetUnit(q.Unit), m.SetMethod(q.Method))
	})
}

// DecodeQuoteRequest reads what EncodeQuoteRequest writes.
func DecodeQuoteRequest(b []byte) (api.QuoteRequest, error) {
	const op = "wire.decodequoterequest"
	msg, err := openRecord(op, b, maxQuoteSize)
	if err != nil {
		return api.QuoteRequest{}, err
	}
	m, err := jobv1.ReadRootQuoteRequest(msg)
	if err != nil {
		return api.QuoteRequest{}, api.E(op, api.Invalid, err)
	}
	var r reader
	q := api.QuoteRequest{Unit: r.text(MaxUnitName, m.Unit), Method: r.text(MaxUnitName, m.Method), Limits: r.limits(m.Limits())}
	r.optional(q.Module[:], m.Module)
	if r.err != nil {
		return api.QuoteRequest{}, api.E(op, api.Invalid, r.err)
	}
	return q, nil
}

// EncodeQuote and DecodeQuote carry the answer.
func EncodeQuote(q api.WorkerQuote) ([]byte, error) {
	return newRecord("wire.encodequote", func(seg *capnp.Segment) error {
		m, err := jobv1.NewRootQuote(seg)
		if err != nil {
			return err
		}
		m.SetCompute(int64(q.Compute))
		m.SetWorkers(q.Workers)
		m.SetQueue(q.Queue)
		m.SetWarm(q.Warm)
		m.SetValidTill(q.ValidTill)
		return m.SetWorker(q.Worker[:])
	})
}

// DecodeQuote reads what EncodeQuote writes.
func DecodeQuote(b []byte) (api.WorkerQuote, error) {
	const op = "wire.decodequote"
	msg, err := openRecord(op, b, maxQuoteSize)
	if err != nil {
		return api.WorkerQuote{}, err
	}
	m, err := jobv1.ReadRootQuote(msg)
	if err != nil {
		return api.WorkerQuote{}, api.E(op, api.Invalid, err)
	}
	q := api.WorkerQuote{Compute: api.Credits(m.Compute()), Workers: m.Workers(), Queue: m.Queue(), Warm: m.Warm(), ValidTill: m.ValidTill()}
	var r reader
	r.fixed(q.Worker[:], m.Worker)
	if q.Compute < 0 {
		r.invalid("a price is not negative")
	}
	if r.err != nil {
		return api.WorkerQuote{}, api.E(op, api.Invalid, r.err)
	}
	return q, nil
}

// EncodeStop and DecodeStop carry the request to give an attempt up.
func EncodeStop(job api.ID, attempt uint8) ([]byte, error) {
	return newRecord("wire.encodestop", func(seg *capnp.Segment) error {
		m, err := jobv1.NewRootStop(seg)
		if err != nil {
			return err
		}
		m.SetAttempt(attempt)
		return m.SetJob(job[:])
	})
}

// DecodeStop reads what EncodeStop writes.
func DecodeStop(b []byte) (job api.ID, attempt uint8, err error) {
	const op = "wire.decodestop"
	msg, err := openRecord(op, b, maxQuoteSize)
	if err != nil {
		return job, 0, err
	}
	m, err := jobv1.ReadRootStop(msg)
	if err != nil {
		return job, 0, api.E(op, api.Invalid, err)
	}
	var r reader
	r.fixed(job[:], m.Job)
	if r.err != nil {
		return api.ID{}, 0, api.E(op, api.Invalid, r.err)
	}
	return job, m.Attempt(), nil
}
