package node

import (
	"context"
	"fmt"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// remoteLedger is the ledger as a member sees it: calls to the seed.
type remoteLedger struct{ n *Node }

// Ledger calls, one method byte before the encoded query.
const (
	askSubmit byte = iota + 1
	askBalance
	askBalances
	askEntries
	askEscrows
	askEscrow
	askTotals
)

// seedID finds the member that keeps the ledger.
func (n *Node) seedID() (api.NodeID, error) {
	for _, m := range n.members.Memberships() {
		if m.Roles&api.Seed != 0 && n.members.Allowed(m.Node, time.Now().Unix()) == nil {
			return m.Node, nil
		}
	}
	return api.NodeID{}, api.Errorf("node.ledger", api.Unavailable, "the seed of the mesh is not known here yet; is this node connected?")
}

func (r remoteLedger) ask(ctx context.Context, what byte, query []byte) ([]byte, error) {
	seed, err := r.n.seedID()
	if err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	b, err := r.n.net.Call(ctx, seed, methodLedger, append([]byte{what}, query...))
	if api.KindOf(err) == api.Unavailable {
		return nil, api.E("node.ledger", api.Unavailable, fmt.Errorf("the seed of the mesh, which keeps the ledger, is not reachable: %w", err))
	}
	return b, err
}

func asked[T any](b []byte, err error, decode func([]byte) (T, error)) (T, error) {
	if err != nil {
		var zero T
		return zero, err
	}
	return decode(b)
}

var errAnswer = api.Errorf("node.ledger", api.Corrupt, "the seed answered another question; check that it runs the same version")

// onlyOne unpacks the answer to a question about one row.
func onlyOne[T any](rows []T, err error) (T, error) {
	if err == nil && len(rows) != 1 {
		err = errAnswer
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return rows[0], nil
}

// Submit sends a command to the seed.
func (r remoteLedger) Submit(ctx context.Context, cmd api.Command) (api.Outcome, error) {
	q, err := wire.EncodeCommand(cmd)
	if err != nil {
		return api.Outcome{}, err
	}
	b, err := r.ask(ctx, askSubmit, q)
	return asked(b, err, wire.DecodeOutcome)
}

// Balance asks the seed for one account.
func (r remoteLedger) Balance(ctx context.Context, a api.Account) (api.Credits, error) {
	q, err := wire.EncodeAccount(a)
	if err != nil {
		return 0, err
	}
	b, err := r.ask(ctx, askBalance, q)
	row, err := onlyOne(asked(b, err, wire.DecodeBalances))
	if err == nil && row.Account != a {
		err = errAnswer
	}
	return row.Amount, err
}

// Balances asks the seed for every account.
func (r remoteLedger) Balances(ctx context.Context) ([]api.Balance, error) {
	b, err := r.ask(ctx, askBalances, nil)
	return asked(b, err, wire.DecodeBalances)
}

// Entries asks the seed for a page of history.
func (r remoteLedger) Entries(ctx context.Context, q api.EntryQuery) (api.EntryPage, error) {
	e, err := wire.EncodeEntryQuery(q)
	if err != nil {
		return api.EntryPage{}, err
	}
	b, err := r.ask(ctx, askEntries, e)
	return asked(b, err, wire.DecodeEntries)
}

// Escrows asks the seed for a page of open escrows.
func (r remoteLedger) Escrows(ctx context.Context, q api.EscrowQuery) ([]api.Escrow, error) {
	e, err := wire.EncodeEscrowQuery(q)
	if err != nil {
		return nil, err
	}
	b, err := r.ask(ctx, askEscrows, e)
	return asked(b, err, wire.DecodeEscrows)
}

// Escrow asks the seed for one open escrow.
func (r remoteLedger) Escrow(ctx context.Context, id api.ID) (api.Escrow, error) {
	b, err := r.ask(ctx, askEscrow, id[:])
	row, err := onlyOne(asked(b, err, wire.DecodeEscrows))
	if err == nil && row.ID != id {
		return api.Escrow{}, errAnswer
	}
	return row, err
}

// Totals asks the seed for the sums.
func (r remoteLedger) Totals(ctx context.Context) (api.LedgerTotals, error) {
	b, err := r.ask(ctx, askTotals, nil)
	return asked(b, err, wire.DecodeTotals)
}

// handleLedger answers remoteLedger on the seed.
func (n *Node) handleLedger(ctx context.Context, _ api.NodeID, req []byte) ([]byte, error) {
	const op = "node.ledger"
	if err := n.needSeed(op); err != nil {
		return nil, err
	}
	if len(req) == 0 {
		return nil, api.Errorf(op, api.Invalid, "an empty ledger call")
	}
	l, q := n.seed.ledger, req[1:]
	switch req[0] {
	case askSubmit:
		return answer(q, wire.DecodeCommand, func(c api.Command) (api.Outcome, error) { return l.Submit(ctx, c) }, wire.EncodeOutcome)
	case askBalance:
		return answer(q, wire.DecodeAccount, func(a api.Account) ([]api.Balance, error) {
			v, err := l.Balance(ctx, a)
			return []api.Balance{{Account: a, Amount: v}}, err
		}, wire.EncodeBalances)
	case askBalances:
		return answer(q, nothing, func(struct{}) ([]api.Balance, error) { return l.Balances(ctx) }, wire.EncodeBalances)
	case askEntries:
		return answer(q, wire.DecodeEntryQuery, func(e api.EntryQuery) (api.EntryPage, error) { return l.Entries(ctx, e) }, wire.EncodeEntries)
	case askEscrows:
		return answer(q, wire.DecodeEscrowQuery, func(e api.EscrowQuery) ([]api.Escrow, error) { return l.Escrows(ctx, e) }, wire.EncodeEscrows)
	case askEscrow:
		return answer(q, escrowID, func(id api.ID) ([]api.Escrow, error) {
			v, err := l.Escrow(ctx, id)
			return []api.Escrow{v}, err
		}, wire.EncodeEscrows)
	case askTotals:
		return answer(q, nothing, func(struct{}) (api.LedgerTotals, error) { return l.Totals(ctx) }, wire.EncodeTotals)
	}
	return nil, api.Errorf(op, api.Unsupported, "this node does not know that ledger call")
}

func answer[Q, A any](query []byte, decode func([]byte) (Q, error), do func(Q) (A, error), encode func(A) ([]byte, error)) ([]byte, error) {
	q, err := decode(query)
	if err != nil {
		return nil, err
	}
	a, err := do(q)
	if err != nil {
		return nil, err
	}
	return encode(a)
}

func nothing(b []byte) (struct{}, error) {
	if len(b) != 0 {
		return struct{}{}, api.Errorf("node.ledger", api.Invalid, "this ledger call takes no query")
	}
	return struct{}{}, nil
}

func escrowID(b []byte) (api.ID, error) {
	if len(b) != len(api.ID{}) {
		return api.ID{}, api.Errorf("node.ledger", api.Invalid, "an escrow's id has 16 bytes")
	}
	return api.ID(b), nil
}
