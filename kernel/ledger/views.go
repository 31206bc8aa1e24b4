package ledger

import (
	"bytes"
	"slices"

	"inos/kernel/api"
)

// Balance returns one account's amount.
func (m *Machine) Balance(a api.Account) (api.Credits, error) {
	switch a.Kind {
	case api.TreasuryAccount:
		return m.treasury, nil
	case api.NodeAccount:
		if v, ok := m.accounts[a.Node]; ok {
			return v, nil
		}
		return 0, noAccount(a.Node)
	default:
		e, err := m.Escrow(a.ID)
		return e.Amount, err
	}
}

// Balances returns the treasury, every member in order of id, and one row for
// all open escrows together. They add up to the supply.
func (m *Machine) Balances() []api.Balance {
	out := make([]api.Balance, 0, len(m.accounts)+2)
	out = append(out, api.Balance{Amount: m.treasury})
	for n, v := range m.accounts {
		out = append(out, api.Balance{Account: nodeAccount(n), Amount: v})
	}
	slices.SortFunc(out[1:], func(a, b api.Balance) int { return bytes.Compare(a.Account.Node[:], b.Account.Node[:]) })
	return append(out, api.Balance{Account: escrowAccount(api.ID{}), Amount: m.escrowed})
}

// Escrow returns one open escrow.
func (m *Machine) Escrow(id api.ID) (api.Escrow, error) {
	e, ok := m.escrows[id]
	if !ok {
		return api.Escrow{}, api.Errorf("ledger.escrow", api.NotFound, "no escrow with this id is open")
	}
	return e, nil
}

// Escrows returns one page of open escrows. It looks at all of them.
func (m *Machine) Escrows(q api.EscrowQuery) ([]api.Escrow, error) {
	limit, err := PageLimit(q.Limit)
	if err != nil {
		return nil, err
	}
	var out []api.Escrow
	for id, e := range m.escrows {
		if bytes.Compare(id[:], q.After[:]) <= 0 && !q.After.IsZero() {
			continue
		}
		if (q.Payer.IsZero() || q.Payer == e.Payer) && (q.Worker.IsZero() || q.Worker == e.Worker) &&
			(q.Expired == 0 || e.Expires <= q.Expired) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b api.Escrow) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return slices.Clone(out[:min(limit, len(out))]), nil
}

// Totals adds up the ledger.
func (m *Machine) Totals() api.LedgerTotals {
	return api.LedgerTotals{
		Supply: m.supply, Treasury: m.treasury, Nodes: m.nodes, Escrowed: m.escrowed,
		Accounts: uint32(len(m.accounts)), Escrows: uint32(len(m.escrows)), Entries: m.seq,
	}
}

// PageLimit checks a query's limit and fills in the default.
func PageLimit(n int) (int, error) {
	switch {
	case n == 0:
		return 100, nil
	case n < 0 || n > api.MaxEntryPage:
		return 0, api.Errorf("ledger.page", api.Invalid, "a page has 1 to 1000 rows")
	}
	return n, nil
}

// Matches reports whether an entry is one that the query asks for, whatever its
// sequence number.
func Matches(q api.EntryQuery, e *api.Entry) bool {
	return (q.Account == nil || *q.Account == e.From || *q.Account == e.To) &&
		(q.Cause == nil || *q.Cause == e.Cause) &&
		(q.Ref == "" || q.Ref == e.Ref)
}
