package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	ledgerv1 "inos/protocols/gen/go/ledger/v1"
)

func setAccount(m ledgerv1.Account, a api.Account) error {
	m.SetKind(uint8(a.Kind))
	switch a.Kind {
	case api.TreasuryAccount:
		return nil
	case api.NodeAccount:
		return m.SetNode(a.Node[:])
	case api.EscrowAccount:
		return m.SetId(a.ID[:])
	}
	return api.Errorf("wire.account", api.Invalid, "unknown kind of account")
}

func (r *reader) account(m ledgerv1.Account, err error) api.Account {
	r.fail(err)
	a := api.Account{Kind: api.AccountKind(m.Kind())}
	switch a.Kind {
	case api.TreasuryAccount:
	case api.NodeAccount:
		r.fixed(a.Node[:], m.Node)
	case api.EscrowAccount:
		r.fixed(a.ID[:], m.Id)
	default:
		r.invalid("unknown kind of account")
	}
	return a
}

// EncodeAccount and DecodeAccount carry an account's name.
func EncodeAccount(a api.Account) ([]byte, error) {
	return newRecord("wire.encodeaccount", func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootAccount(seg)
		return firstOf(err, setAccount(m, a))
	})
}

// DecodeAccount reads what EncodeAccount writes.
func DecodeAccount(b []byte) (api.Account, error) {
	const op = "wire.decodeaccount"
	msg, err := openRecord(op, b, 1<<10)
	if err != nil {
		return api.Account{}, err
	}
	var r reader
	a := r.account(ledgerv1.ReadRootAccount(msg))
	if r.err != nil {
		return api.Account{}, api.E(op, api.Invalid, r.err)
	}
	return a, nil
}

// EncodeOutcome and DecodeOutcome carry the answer to a command.
func EncodeOutcome(o api.Outcome) ([]byte, error) {
	return newRecord("wire.encodeoutcome", func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootOutcome(seg)
		if err != nil {
			return err
		}
		m.SetFirst(o.First)
		m.SetCount(o.Count)
		m.SetTime(o.Time)
		m.SetRepeated(o.Repeated)
		return nil
	})
}

// DecodeOutcome reads what EncodeOutcome writes.
func DecodeOutcome(b []byte) (api.Outcome, error) {
	const op = "wire.decodeoutcome"
	msg, err := openRecord(op, b, 1<<10)
	if err != nil {
		return api.Outcome{}, err
	}
	m, err := ledgerv1.ReadRootOutcome(msg)
	if err != nil {
		return api.Outcome{}, api.E(op, api.Invalid, err)
	}
	return api.Outcome{First: m.First(), Count: m.Count(), Time: m.Time(), Repeated: m.Repeated()}, nil
}

func setEntry(m ledgerv1.Entry, e *api.Entry) error {
	if len(e.Ref) > MaxRef {
		return api.Errorf("wire.entry", api.Invalid, "the reference is longer than 128 bytes")
	}
	m.SetSeq(e.Seq)
	m.SetTime(e.Time)
	m.SetAmount(int64(e.Amount))
	m.SetCause(uint8(e.Cause))
	from, err1 := m.NewFrom()
	to, err2 := m.NewTo()
	return firstOf(err1, err2, setAccount(from, e.From), setAccount(to, e.To), m.SetRef(e.Ref))
}

func (r *reader) entry(m ledgerv1.Entry) api.Entry {
	e := api.Entry{Seq: m.Seq(), Time: m.Time(), Amount: api.Credits(m.Amount()), Cause: api.Cause(m.Cause())}
	if e.Cause > api.CauseTransfer {
		r.invalid("unknown cause of an entry")
	}
	e.From = r.account(m.From())
	e.To = r.account(m.To())
	e.Ref = r.text(MaxRef, m.Ref)
	return e
}

// EncodeEntries and DecodeEntries carry one page of history.
func EncodeEntries(p api.EntryPage) ([]byte, error) {
	const op = "wire.encodeentries"
	if len(p.Entries) > api.MaxEntryPage {
		return nil, api.Errorf(op, api.Invalid, "a page has at most 1000 entries")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootEntryPage(seg)
		if err != nil {
			return err
		}
		m.SetNext(p.Next)
		list, err := m.NewEntries(int32(len(p.Entries)))
		if err != nil {
			return err
		}
		for i := range p.Entries {
			if err := setEntry(list.At(i), &p.Entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// DecodeEntries reads what EncodeEntries writes.
func DecodeEntries(b []byte) (api.EntryPage, error) {
	const op = "wire.decodeentries"
	msg, err := openRecord(op, b, MaxLedgerReply)
	if err != nil {
		return api.EntryPage{}, err
	}
	m, err := ledgerv1.ReadRootEntryPage(msg)
	if err != nil {
		return api.EntryPage{}, api.E(op, api.Invalid, err)
	}
	list, err := m.Entries()
	r := reader{err: err}
	p := api.EntryPage{Entries: make([]api.Entry, r.count(list.Len(), api.MaxEntryPage)), Next: m.Next()}
	for i := range p.Entries {
		p.Entries[i] = r.entry(list.At(i))
	}
	if r.err != nil {
		return api.EntryPage{}, api.E(op, api.Invalid, r.err)
	}
	return p, nil
}

// EncodeEntryQuery and DecodeEntryQuery carry a question about history.
func EncodeEntryQuery(q api.EntryQuery) ([]byte, error) {
	const op = "wire.encodeentryquery"
	if len(q.Ref) > MaxRef || q.Limit < 0 || q.Limit > api.MaxEntryPage {
		return nil, api.Errorf(op, api.Invalid, "a query names at most 128 bytes of reference and 1000 entries")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootEntryQuery(seg)
		if err != nil {
			return err
		}
		m.SetBefore(q.Before)
		m.SetFrom(q.From)
		m.SetLimit(uint32(q.Limit))
		m.SetCause(-1)
		if q.Cause != nil {
			m.SetCause(int16(*q.Cause))
		}
		if q.Account != nil {
			a, err := m.NewAccount()
			if err := firstOf(err, setAccount(a, *q.Account)); err != nil {
				return err
			}
		}
		return m.SetRef(q.Ref)
	})
}

// DecodeEntryQuery reads what EncodeEntryQuery writes.
func DecodeEntryQuery(b []byte) (api.EntryQuery, error) {
	const op = "wire.decodeentryquery"
	msg, err := openRecord(op, b, 1<<10)
	if err != nil {
		return api.EntryQuery{}, err
	}
	m, err := ledgerv1.ReadRootEntryQuery(msg)
	if err != nil {
		return api.EntryQuery{}, api.E(op, api.Invalid, err)
	}
	var r reader
	q := api.EntryQuery{Ref: r.text(MaxRef, m.Ref), Before: m.Before(), From: m.From(), Limit: int(m.Limit())}
	if m.HasAccount() {
		a := r.account(m.Account())
		q.Account = &a
	}
	if c := m.Cause(); c >= 0 {
		cause := api.Cause(c)
		q.Cause = &cause
		if c > int16(api.CauseTransfer) {
			r.invalid("unknown cause of an entry")
		}
	}
	if m.Limit() > api.MaxEntryPage {
		r.invalid("a page has at most 1000 entries")
	}
	if r.err != nil {
		return api.EntryQuery{}, api.E(op, api.Invalid, r.err)
	}
	return q, nil
}

// EncodeEscrowQuery and DecodeEscrowQuery carry a question about open escrows.
func EncodeEscrowQuery(q api.EscrowQuery) ([]byte, error) {
	const op = "wire.encodeescrowquery"
	if q.Limit < 0 || q.Limit > api.MaxEntryPage {
		return nil, api.Errorf(op, api.Invalid, "a page has at most 1000 escrows")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootEscrowQuery(seg)
		if err != nil {
			return err
		}
		m.SetExpired(q.Expired)
		m.SetLimit(uint32(q.Limit))
		return firstOf(m.SetPayer(unlessZero(q.Payer[:])), m.SetWorker(unlessZero(q.Worker[:])), m.SetAfter(unlessZero(q.After[:])))
	})
}

// DecodeEscrowQuery reads what EncodeEscrowQuery writes.
func DecodeEscrowQuery(b []byte) (api.EscrowQuery, error) {
	const op = "wire.decodeescrowquery"
	msg, err := openRecord(op, b, 1<<10)
	if err != nil {
		return api.EscrowQuery{}, err
	}
	m, err := ledgerv1.ReadRootEscrowQuery(msg)
	if err != nil {
		return api.EscrowQuery{}, api.E(op, api.Invalid, err)
	}
	var r reader
	q := api.EscrowQuery{Expired: m.Expired(), Limit: int(m.Limit())}
	r.optional(q.Payer[:], m.Payer)
	r.optional(q.Worker[:], m.Worker)
	r.optional(q.After[:], m.After)
	if m.Limit() > api.MaxEntryPage {
		r.invalid("a page has at most 1000 escrows")
	}
	if r.err != nil {
		return api.EscrowQuery{}, api.E(op, api.Invalid, r.err)
	}
	return q, nil
}
