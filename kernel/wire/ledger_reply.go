package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	ledgerv1 "inos/protocols/gen/go/ledger/v1"
)

// EncodeEscrows and DecodeEscrows carry one page of open escrows.
func EncodeEscrows(escrows []api.Escrow) ([]byte, error) {
	const op = "wire.encodeescrows"
	if len(escrows) > api.MaxEntryPage {
		return nil, api.Errorf(op, api.Invalid, "a page has at most 1000 escrows")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootEscrows(seg)
		if err != nil {
			return err
		}
		list, err := m.NewEscrows(int32(len(escrows)))
		return firstOf(err, setEscrows(list, escrows))
	})
}

// DecodeEscrows reads what EncodeEscrows writes.
func DecodeEscrows(b []byte) ([]api.Escrow, error) {
	const op = "wire.decodeescrows"
	msg, err := openRecord(op, b, MaxLedgerReply)
	if err != nil {
		return nil, err
	}
	m, err := ledgerv1.ReadRootEscrows(msg)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	list, err := m.Escrows()
	r := reader{err: err}
	out := r.escrows(list, api.MaxEntryPage)
	if r.err != nil {
		return nil, api.E(op, api.Invalid, r.err)
	}
	return out, nil
}

// EncodeBalances and DecodeBalances carry a list of balances.
func EncodeBalances(rows []api.Balance) ([]byte, error) {
	const op = "wire.encodebalances"
	if len(rows) > maxBalances {
		return nil, api.Errorf(op, api.Exhausted, "a list has at most 8192 balances; ask for single accounts")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootBalances(seg)
		if err != nil {
			return err
		}
		list, err := m.NewBalances(int32(len(rows)))
		if err != nil {
			return err
		}
		for i := range rows {
			row := list.At(i)
			row.SetAmount(int64(rows[i].Amount))
			a, err := row.NewAccount()
			if err := firstOf(err, setAccount(a, rows[i].Account), row.SetName(rows[i].Name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// DecodeBalances reads what EncodeBalances writes.
func DecodeBalances(b []byte) ([]api.Balance, error) {
	const op = "wire.decodebalances"
	msg, err := openRecord(op, b, MaxLedgerReply)
	if err != nil {
		return nil, err
	}
	m, err := ledgerv1.ReadRootBalances(msg)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	list, err := m.Balances()
	r := reader{err: err}
	rows := make([]api.Balance, r.count(list.Len(), maxBalances))
	for i := range rows {
		row := list.At(i)
		rows[i] = api.Balance{Account: r.account(row.Account()), Name: r.text(api.MaxName, row.Name), Amount: api.Credits(row.Amount())}
	}
	if r.err != nil {
		return nil, api.E(op, api.Invalid, r.err)
	}
	return rows, nil
}

// EncodeTotals and DecodeTotals carry a ledger's sums.
func EncodeTotals(t api.LedgerTotals) ([]byte, error) {
	return newRecord("wire.encodetotals", func(seg *capnp.Segment) error {
		m, err := ledgerv1.NewRootTotals(seg)
		if err != nil {
			return err
		}
		m.SetSupply(int64(t.Supply))
		m.SetTreasury(int64(t.Treasury))
		m.SetNodes(int64(t.Nodes))
		m.SetEscrowed(int64(t.Escrowed))
		m.SetAccounts(t.Accounts)
		m.SetEscrows(t.Escrows)
		m.SetEntries(t.Entries)
		return nil
	})
}

// DecodeTotals reads what EncodeTotals writes.
func DecodeTotals(b []byte) (api.LedgerTotals, error) {
	const op = "wire.decodetotals"
	msg, err := openRecord(op, b, 1<<10)
	if err != nil {
		return api.LedgerTotals{}, err
	}
	m, err := ledgerv1.ReadRootTotals(msg)
	if err != nil {
		return api.LedgerTotals{}, api.E(op, api.Invalid, err)
	}
	return api.LedgerTotals{
		Supply: api.Credits(m.Supply()), Treasury: api.Credits(m.Treasury()), Nodes: api.Credits(m.Nodes()),
		Escrowed: api.Credits(m.Escrowed()), Accounts: m.Accounts(), Escrows: m.Escrows(), Entries: m.Entries(),
	}, nil
}
