package ledger

import (
	"strconv"

	"inos/kernel/api"
)

func (t *tx) run(cmd *api.Command) error {
	if g, ok := cmd.Op.(api.Genesis); ok {
		return t.runGenesis(cmd.Signer, g)
	}
	if t.m.supply == 0 {
		return api.Errorf("ledger.run", api.Conflict, "the ledger has no supply yet; the mesh's root key signs the genesis first")
	}
	switch op := cmd.Op.(type) {
	case api.Grant:
		return t.runGrant(cmd.Signer, op)
	case api.Transfer:
		return t.runTransfer(cmd.Signer, op)
	case api.EscrowOpen:
		return t.runOpen(op)
	case api.EscrowSettle:
		return t.runSettle(cmd.Signer, op)
	case api.EscrowRefund:
		return t.runRefund(cmd.Signer, op)
	case api.StoragePay:
		return t.runStorage(cmd.Signer, op)
	case api.CashCheque:
		return t.runCheque(op.Cheque)
	}
	return invalid("the command has no operation this version knows")
}

func (t *tx) requireRoot(signer api.NodeID) error {
	if signer != t.m.mesh {
		return api.Errorf("ledger.root", api.Denied, "only the mesh's root key may sign this")
	}
	return nil
}

func (t *tx) runGenesis(signer api.NodeID, op api.Genesis) error {
	if err := t.requireRoot(signer); err != nil {
		return err
	}
	if t.m.supply != 0 {
		return api.Errorf("ledger.genesis", api.Exists, "the ledger has its supply already")
	}
	t.genesis, t.treasury = op.Supply, op.Supply
	t.enter(api.Account{}, api.Account{}, op.Supply, api.CauseGenesis, "")
	return nil
}

func (t *tx) runGrant(signer api.NodeID, op api.Grant) error {
	const name = "ledger.grant"
	if err := t.requireRoot(signer); err != nil {
		return err
	}
	if _, ok := t.account(op.Node); ok {
		return api.Errorf(name, api.Exists, "this node was granted its credits already")
	}
	if len(t.m.accounts) >= api.MaxLedgerAccounts {
		return api.Errorf(name, api.Exhausted, "the ledger has all the accounts it can hold")
	}
	if t.treasury < op.Amount {
		return api.Errorf(name, api.Unfunded, "the treasury has "+t.treasury.String()+" credits left; grant less")
	}
	t.treasury -= op.Amount
	t.accounts[op.Node] = op.Amount
	t.enter(api.Account{}, nodeAccount(op.Node), op.Amount, api.CauseGrant, "")
	return nil
}

// pay moves amount between members.
func (t *tx) pay(from, to api.NodeID, amount api.Credits, cause api.Cause, ref string) error {
	if err := t.take(from, amount); err != nil {
		return err
	}
	if err := t.give(to, amount); err != nil {
		return err
	}
	t.enter(nodeAccount(from), nodeAccount(to), amount, cause, ref)
	return nil
}

func (t *tx) runTransfer(signer api.NodeID, op api.Transfer) error {
	return t.pay(signer, op.To, op.Amount, api.CauseTransfer, op.Memo)
}

func (t *tx) runStorage(signer api.NodeID, op api.StoragePay) error {
	ref := op.Root.String()
	for i := range op.Payments {
		if err := t.pay(signer, op.Payments[i].Holder, op.Payments[i].Amount, api.CauseStorage, ref); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) runCheque(c api.Cheque) error {
	const name = "ledger.cheque"
	p := pair{c.Payer, c.Payee}
	before := t.cheque(p)
	if c.Cumulative <= before.paid {
		return api.Errorf(name, api.Exists, "this cheque or a later one was redeemed already")
	}
	if _, known := t.m.cheques[p]; !known && len(t.m.cheques) >= api.MaxChequePairs {
		return api.Errorf(name, api.Exhausted, "the ledger has all the cheque pairs it can hold")
	}
	ref := strconv.FormatUint(c.Bytes, 10) + " bytes in total"
	if err := t.pay(c.Payer, c.Payee, c.Cumulative-before.paid, api.CauseServe, ref); err != nil {
		return err
	}
	t.cheques[p] = cheque{paid: c.Cumulative, bytes: c.Bytes}
	return nil
}
