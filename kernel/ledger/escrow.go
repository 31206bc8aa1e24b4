package ledger

import (
	"time"

	"inos/kernel/api"
)

// Who may close an escrow, on the ledger's clock:
//
//	opened ........ Expires ........ +EscrowGrace ........ +EscrowSweep
//	payer settles   payer settles    payer settles         payer settles
//	                worker settles   worker settles        worker settles
//	                                 payer refunds         anyone refunds
//
// Settling takes the worker's signed proof and pays by its gas, whoever submits
// it, so neither side gains by waiting; a refund pays the worker nothing.

func (t *tx) runOpen(op api.EscrowOpen) error {
	for i := range op.Escrows {
		if err := t.open(op.Escrows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) open(e api.Escrow) error {
	const name = "ledger.escrow"
	switch {
	case e.Expires <= t.now:
		return api.Errorf(name, api.Timeout, "the escrow has expired before it was opened")
	case e.Expires > t.now+api.MaxEscrowLife:
		return api.Errorf(name, api.Invalid, "an escrow lasts at most 7 days")
	case len(t.m.escrows)+len(t.escrows) >= api.MaxOpenEscrows:
		return api.Errorf(name, api.Exhausted, "the ledger has all the open escrows it can hold; retry when some are settled")
	}
	if _, open := t.escrow(e.ID); open {
		return api.Errorf(name, api.Exists, "an escrow with this id is open already")
	}
	if _, ok := t.account(e.Worker); !ok {
		return noAccount(e.Worker)
	}
	if err := t.take(e.Payer, e.Amount); err != nil {
		return err
	}
	t.enter(nodeAccount(e.Payer), escrowAccount(e.ID), e.Amount, api.CauseEscrow, e.Job.String())
	e.Seq = t.entries[len(t.entries)-1].Seq
	t.escrows[e.ID] = escrowChange{escrow: e, open: true}
	return nil
}

func (t *tx) runSettle(signer api.NodeID, op api.EscrowSettle) error {
	for i := range op.Settlements {
		if err := t.settle(signer, &op.Settlements[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) settle(signer api.NodeID, s *api.Settlement) error {
	const name = "ledger.settle"
	e, open := t.escrow(s.Escrow)
	if !open {
		return api.Errorf(name, api.NotFound, "no escrow with this id is open; it may be settled or refunded already")
	}
	if s.Proof.Job != e.Job || s.Proof.Worker != e.Worker || s.Proof.Escrow != e.Seq {
		return api.Errorf(name, api.Invalid, "the proof is for another job, worker or escrow")
	}
	switch {
	case signer == e.Payer:
	case signer == e.Worker && t.now >= e.Expires:
	case signer == e.Worker:
		return notBefore(name, "the worker may settle", e.Expires)
	default:
		return api.Errorf(name, api.Denied, "only the escrow's payer or worker may settle it")
	}
	return t.closeEscrow(e, e.Payment(s.Proof.Kind, s.Proof.Gas))
}

func (t *tx) runRefund(signer api.NodeID, op api.EscrowRefund) error {
	for _, id := range op.Escrows {
		if err := t.refund(signer, id); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) refund(signer api.NodeID, id api.ID) error {
	const name = "ledger.refund"
	e, open := t.escrow(id)
	if !open {
		return api.Errorf(name, api.NotFound, "no escrow with this id is open; it may be settled or refunded already")
	}
	if at := e.Expires + api.EscrowGrace; signer == e.Payer && t.now < at {
		return notBefore(name, "the payer may take it back", at)
	}
	if at := e.Expires + api.EscrowSweep; signer != e.Payer && t.now < at {
		return notBefore(name, "others may return it to the payer", at)
	}
	return t.closeEscrow(e, 0)
}

// closeEscrow pays the worker and returns the rest to the payer.
func (t *tx) closeEscrow(e api.Escrow, pay api.Credits) error {
	if err := t.give(e.Worker, pay); err != nil {
		return err
	}
	if err := t.give(e.Payer, e.Amount-pay); err != nil {
		return err
	}
	from, ref := escrowAccount(e.ID), e.Job.String()
	t.enter(from, nodeAccount(e.Worker), pay, api.CauseSettle, ref)
	t.enter(from, nodeAccount(e.Payer), e.Amount-pay, api.CauseRefund, ref)
	t.escrows[e.ID] = escrowChange{escrow: e}
	return nil
}

func notBefore(name, what string, at int64) error {
	return api.Errorf(name, api.Denied, what+" from "+time.UnixMilli(at).UTC().Format(time.RFC3339)+" on")
}
