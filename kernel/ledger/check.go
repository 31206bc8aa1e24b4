package ledger

import (
	"crypto/ed25519"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Checked is a command whose shape and signatures are right. Only Check makes
// one, so a Machine cannot be given an unverified command.
type Checked struct {
	cmd    api.Command
	digest api.Hash
}

// Command returns the command, which must not be changed.
func (c *Checked) Command() api.Command { return c.cmd }

// Check verifies what can be verified without the ledger's state: bounds,
// signs of amounts, and the signatures of the command, its proofs and its
// cheque. It is the expensive part of a command and safe to call concurrently.
// It returns Invalid or Unverified.
func Check(cmd api.Command) (Checked, error) {
	const op = "ledger.check"
	if cmd.ID.IsZero() {
		return Checked{}, api.Errorf(op, api.Invalid, "a command needs an id; draw a random one")
	}
	if err := checkOp(cmd); err != nil {
		return Checked{}, api.E(op, api.Other, err)
	}
	signing, err := wire.CommandSigning(cmd)
	if err != nil {
		return Checked{}, api.E(op, api.Other, err)
	}
	if !verify(cmd.Signer, signing, cmd.Sig) {
		return Checked{}, api.Errorf(op, api.Unverified, "the command's signature is not its signer's")
	}
	if err := checkProofs(cmd); err != nil {
		return Checked{}, api.E(op, api.Other, err)
	}
	return Checked{cmd: cmd, digest: wire.CommandDigest(signing)}, nil
}

func verify(signer api.NodeID, msg []byte, sig [64]byte) bool {
	return ed25519.Verify(signer[:], msg, sig[:])
}

func invalid(msg string) error { return api.Errorf("ledger.op", api.Invalid, msg) }

func checkOp(cmd api.Command) error {
	switch op := cmd.Op.(type) {
	case api.Genesis:
		if op.Supply <= 0 {
			return invalid("the supply is a positive amount")
		}
	case api.Grant:
		if op.Amount < 0 || op.Node.IsZero() {
			return invalid("a grant names a node and is not negative")
		}
	case api.Transfer:
		return checkTransfer(cmd.Signer, op)
	case api.EscrowOpen:
		return checkOpen(cmd.Signer, op)
	case api.EscrowSettle:
		return checkCount(len(op.Settlements))
	case api.EscrowRefund:
		return checkCount(len(op.Escrows))
	case api.StoragePay:
		return checkStorage(cmd.Signer, op)
	case api.CashCheque:
		return checkCheque(cmd.Signer, op.Cheque)
	}
	return nil
}

func checkCount(n int) error {
	if n < 1 || n > api.MaxCommandItems {
		return invalid("a command has 1 to 256 items")
	}
	return nil
}

func checkTransfer(signer api.NodeID, op api.Transfer) error {
	switch {
	case op.Amount <= 0:
		return invalid("an amount to transfer is positive")
	case op.To == signer:
		return invalid("a transfer to oneself moves nothing")
	case len(op.Memo) > api.MaxMemo:
		return invalid("a memo has at most 128 bytes")
	}
	return nil
}

func checkOpen(signer api.NodeID, op api.EscrowOpen) error {
	if err := checkCount(len(op.Escrows)); err != nil {
		return err
	}
	for i := range op.Escrows {
		e := &op.Escrows[i]
		switch {
		case e.Payer != signer:
			return api.Errorf("ledger.op", api.Denied, "an escrow is opened by its payer")
		case e.Worker == signer:
			return invalid("work on one's own node is free and needs no escrow")
		case e.Amount <= 0 || e.Price < 0:
			return invalid("an escrow's amount is positive and its price not negative")
		case e.ID.IsZero():
			return invalid("an escrow needs an id")
		}
	}
	return nil
}

func checkStorage(signer api.NodeID, op api.StoragePay) error {
	if err := checkCount(len(op.Payments)); err != nil {
		return err
	}
	for i := range op.Payments {
		if op.Payments[i].Amount <= 0 || op.Payments[i].Holder == signer {
			return invalid("a storage payment is positive and goes to another node")
		}
	}
	return nil
}

func checkCheque(signer api.NodeID, c api.Cheque) error {
	switch {
	case c.Payee != signer:
		return api.Errorf("ledger.op", api.Denied, "a cheque is redeemed by its payee")
	case c.Payer == c.Payee:
		return invalid("a cheque goes to another node")
	case c.Cumulative <= 0:
		return invalid("a cheque's total is positive")
	}
	return nil
}

func checkProofs(cmd api.Command) error {
	const op = "ledger.op"
	switch o := cmd.Op.(type) {
	case api.EscrowSettle:
		for i := range o.Settlements {
			p := &o.Settlements[i].Proof
			if !verify(p.Worker, wire.ProofSigning(*p), p.Sig) {
				return api.Errorf(op, api.Unverified, "a proof's signature is not its worker's")
			}
		}
	case api.CashCheque:
		if !verify(o.Cheque.Payer, wire.ChequeSigning(o.Cheque), o.Cheque.Sig) {
			return api.Errorf(op, api.Unverified, "the cheque's signature is not its payer's")
		}
	}
	return nil
}
