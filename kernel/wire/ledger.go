package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	ledgerv1 "inos/protocols/gen/go/ledger/v1"
)

// Bounds of the ledger's messages.
const (
	MaxCommandRecord = 128 << 10 // bytes of an encoded command; the largest has api.MaxCommandItems settlements
	MaxLedgerReply   = 2 << 20   // bytes of an encoded page, list of balances or list of escrows
	MaxRef           = 128       // bytes of Entry.Ref
	maxBalances      = 8192      // rows in one list of balances
)

// EncodeCommand and DecodeCommand carry a signed command. Neither checks the signature.
func EncodeCommand(cmd api.Command) ([]byte, error) {
	const op = "wire.encodecommand"
	b, err := newRecord(op, func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootCommand(seg)
		if err != nil {
			return err
		}
		m.SetExpires(cmd.Expires)
		return firstOf(m.SetId(cmd.ID[:]), m.SetSigner(cmd.Signer[:]), m.SetSig(cmd.Sig[:]), setOp(m, cmd.Op))
	})
	if err == nil && len(b) > MaxCommandRecord {
		return nil, api.Errorf(op, api.Invalid, "the command is larger than 128 KiB; send fewer items in one")
	}
	return b, err
}

func setOp(m ledgerv1.Command, op api.Op) error {
	switch op := op.(type) {
	case api.Genesis:
		g, err := m.NewGenesis()
		g.SetSupply(int64(op.Supply))
		return err
	case api.Grant:
		g, err := m.NewGrant()
		if err != nil {
			return err
		}
		g.SetAmount(int64(op.Amount))
		return g.SetNode(op.Node[:])
	case api.Transfer:
		t, err := m.NewTransfer()
		if err != nil {
			return err
		}
		t.SetAmount(int64(op.Amount))
		return firstOf(t.SetTo(op.To[:]), t.SetMemo(op.Memo))
	case api.EscrowOpen:
		list, err := m.NewEscrowOpen(int32(len(op.Escrows)))
		return firstOf(err, setEscrows(list, op.Escrows))
	case api.EscrowSettle:
		return setSettlements(m, op)
	case api.EscrowRefund:
		ids := make([]byte, 0, 16*len(op.Escrows))
		for i := range op.Escrows {
			ids = append(ids, op.Escrows[i][:]...)
		}
		return m.SetEscrowRefund(ids)
	case api.StoragePay:
		return setStorage(m, op)
	case api.CashCheque:
		c, err := m.NewCashCheque()
		if err != nil {
			return err
		}
		return setCheque(c, op.Cheque)
	}
	return api.Errorf("wire.encodecommand", api.Invalid, "the command has no operation this version knows")
}

func setEscrows(list ledgerv1.Escrow_List, escrows []api.Escrow) error {
	for i := range escrows {
		if err := setEscrow(list.At(i), &escrows[i]); err != nil {
			return err
		}
	}
	return nil
}

func setEscrow(m ledgerv1.Escrow, e *api.Escrow) error {
	m.SetAmount(int64(e.Amount))
	m.SetPrice(int64(e.Price))
	m.SetExpires(e.Expires)
	m.SetSeq(e.Seq)
	return firstOf(m.SetId(e.ID[:]), m.SetJob(e.Job[:]), m.SetPayer(e.Payer[:]), m.SetWorker(e.Worker[:]))
}

func setSettlements(m ledgerv1.Command, op api.EscrowSettle) error {
	list, err := m.NewEscrowSettle(int32(len(op.Settlements)))
	if err != nil {
		return err
	}
	for i := range op.Settlements {
		s, p := list.At(i), &op.Settlements[i].Proof
		s.SetSeq(p.Escrow)
		s.SetKind(uint8(p.Kind))
		s.SetGas(p.Gas)
		err := firstOf(s.SetEscrow(op.Settlements[i].Escrow[:]), s.SetJob(p.Job[:]), s.SetWorker(p.Worker[:]),
			s.SetDetail(p.Detail[:]), s.SetSig(p.Sig[:]))
		if err != nil {
			return err
		}
	}
	return nil
}

func setStorage(m ledgerv1.Command, op api.StoragePay) error {
	s, err := m.NewStoragePay()
	if err != nil {
		return err
	}
	list, err := s.NewPayments(int32(len(op.Payments)))
	if err := firstOf(err, s.SetRoot(op.Root[:]), s.SetLease(op.Lease[:])); err != nil {
		return err
	}
	for i := range op.Payments {
		p, v := list.At(i), &op.Payments[i]
		p.SetAmount(int64(v.Amount))
		p.SetBytes(v.Bytes)
		if err := firstOf(p.SetHolder(v.Holder[:]), p.SetBlocks(v.Blocks[:])); err != nil {
			return err
		}
	}
	return nil
}

func setCheque(m ledgerv1.Cheque, c api.Cheque) error {
	m.SetCumulative(int64(c.Cumulative))
	m.SetBytes(c.Bytes)
	return firstOf(m.SetPayer(c.Payer[:]), m.SetPayee(c.Payee[:]), m.SetSig(c.Sig[:]))
}

// DecodeCommand reads what EncodeCommand writes.
func DecodeCommand(b []byte) (api.Command, error) {
	const op = "wire.decodecommand"
	var cmd api.Command
	msg, err := openRecord(op, b, MaxCommandRecord)
	if err != nil {
		return cmd, err
	}
	m, err := ledgerv1.ReadRootCommand(msg)
	if err != nil {
		return cmd, api.E(op, api.Invalid, err)
	}
	var r reader
	r.fixed(cmd.ID[:], m.Id)
	r.fixed(cmd.Signer[:], m.Signer)
	r.fixed(cmd.Sig[:], m.Sig)
	cmd.Expires = m.Expires()
	cmd.Op = r.op(m)
	if r.err != nil {
		return api.Command{}, api.E(op, api.Invalid, r.err)
	}
	return cmd, nil
}

func (r *reader) op(m ledgerv1.Command) api.Op {
	switch m.Which() {
	case ledgerv1.Command_Which_genesis:
		g, err := m.Genesis()
		r.fail(err)
		return api.Genesis{Supply: api.Credits(g.Supply())}
	case ledgerv1.Command_Which_grant:
		g, err := m.Grant()
		r.fail(err)
		op := api.Grant{Amount: api.Credits(g.Amount())}
		r.fixed(op.Node[:], g.Node)
		return op
	case ledgerv1.Command_Which_transfer:
		t, err := m.Transfer()
		r.fail(err)
		op := api.Transfer{Amount: api.Credits(t.Amount()), Memo: r.text(api.MaxMemo, t.Memo)}
		r.fixed(op.To[:], t.To)
		return op
	case ledgerv1.Command_Which_escrowOpen:
		list, err := m.EscrowOpen()
		r.fail(err)
		return api.EscrowOpen{Escrows: r.escrows(list, api.MaxCommandItems)}
	case ledgerv1.Command_Which_escrowSettle:
		return r.settlements(m)
	case ledgerv1.Command_Which_escrowRefund:
		return r.refund(m)
	case ledgerv1.Command_Which_storagePay:
		return r.storage(m)
	case ledgerv1.Command_Which_cashCheque:
		c, err := m.CashCheque()
		r.fail(err)
		return api.CashCheque{Cheque: r.cheque(c)}
	}
	r.invalid("the command has no operation this version knows")
	return nil
}

func (r *reader) escrows(list ledgerv1.Escrow_List, limit int) []api.Escrow {
	out := make([]api.Escrow, r.count(list.Len(), limit))
	for i := range out {
		out[i] = r.escrow(list.At(i))
	}
	return out
}

func (r *reader) escrow(m ledgerv1.Escrow) api.Escrow {
	e := api.Escrow{Amount: api.Credits(m.Amount()), Price: api.Credits(m.Price()), Expires: m.Expires(), Seq: m.Seq()}
	r.fixed(e.ID[:], m.Id)
	r.fixed(e.Job[:], m.Job)
	r.fixed(e.Payer[:], m.Payer)
	r.fixed(e.Worker[:], m.Worker)
	return e
}

func (r *reader) settlements(m ledgerv1.Command) api.Op {
	list, err := m.EscrowSettle()
	r.fail(err)
	out := make([]api.Settlement, r.count(list.Len(), api.MaxCommandItems))
	for i := range out {
		s, p := list.At(i), &out[i].Proof
		p.Escrow, p.Kind, p.Gas = s.Seq(), r.kind(s.Kind()), s.Gas()
		r.fixed(out[i].Escrow[:], s.Escrow)
		r.fixed(p.Job[:], s.Job)
		r.fixed(p.Worker[:], s.Worker)
		r.fixed(p.Detail[:], s.Detail)
		r.fixed(p.Sig[:], s.Sig)
	}
	return api.EscrowSettle{Settlements: out}
}

func (r *reader) refund(m ledgerv1.Command) api.Op {
	ids := r.data(16*api.MaxCommandItems, m.EscrowRefund)
	if len(ids)%16 != 0 {
		r.invalid("a list of escrow ids is cut off")
	}
	out := make([]api.ID, len(ids)/16)
	for i := range out {
		out[i] = api.ID(ids[16*i:])
	}
	return api.EscrowRefund{Escrows: out}
}

func (r *reader) storage(m ledgerv1.Command) api.Op {
	s, err := m.StoragePay()
	r.fail(err)
	list, err := s.Payments()
	r.fail(err)
	op := api.StoragePay{Payments: make([]api.StoragePayment, r.count(list.Len(), api.MaxCommandItems))}
	r.fixed(op.Root[:], s.Root)
	r.fixed(op.Lease[:], s.Lease)
	for i := range op.Payments {
		p, v := list.At(i), &op.Payments[i]
		v.Amount, v.Bytes = api.Credits(p.Amount()), p.Bytes()
		r.fixed(v.Holder[:], p.Holder)
		r.fixed(v.Blocks[:], p.Blocks)
	}
	return op
}

func (r *reader) cheque(m ledgerv1.Cheque) api.Cheque {
	c := api.Cheque{Cumulative: api.Credits(m.Cumulative()), Bytes: m.Bytes()}
	r.fixed(c.Payer[:], m.Payer)
	r.fixed(c.Payee[:], m.Payee)
	r.fixed(c.Sig[:], m.Sig)
	return c
}

// EncodeCheque and DecodeCheque carry a signed cheque. Neither checks the signature.
func EncodeCheque(c api.Cheque) ([]byte, error) {
	return newRecord("wire.encodecheque", func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootCheque(seg)
		if err != nil {
			return err
		}
		return setCheque(m, c)
	})
}

// DecodeCheque reads what EncodeCheque writes.
func DecodeCheque(b []byte) (api.Cheque, error) {
	const op = "wire.decodecheque"
	msg, err := openRecord(op, b, 1<<10)
	if err != nil {
		return api.Cheque{}, err
	}
	m, err := ledgerv1.ReadRootCheque(msg)
	if err != nil {
		return api.Cheque{}, api.E(op, api.Invalid, err)
	}
	var r reader
	c := r.cheque(m)
	if r.err != nil {
		return api.Cheque{}, api.E(op, api.Invalid, r.err)
	}
	return c, nil
}
