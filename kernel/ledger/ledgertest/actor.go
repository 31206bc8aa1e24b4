// Package ledgertest has the one suite that every api.Ledger passes, and the
// signing actors that tests of the ledger are played by.
package ledgertest

import (
	"crypto/ed25519"
	"encoding/binary"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Actor is a key pair with a counter for fresh ids.
type Actor struct {
	ID   api.NodeID
	key  ed25519.PrivateKey
	next uint64
}

// NewActor derives an actor from a number.
func NewActor(n byte) *Actor {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	key := ed25519.NewKeyFromSeed(seed)
	return &Actor{ID: api.NodeID(key.Public().(ed25519.PublicKey)), key: key}
}

// Fresh returns an id that no other call on any actor returns.
func (a *Actor) Fresh() (id api.ID) {
	a.next++
	copy(id[:8], a.ID[:8])
	binary.BigEndian.PutUint64(id[8:], a.next)
	return id
}

// Sign returns the signature of msg.
func (a *Actor) Sign(msg []byte) [64]byte { return [64]byte(ed25519.Sign(a.key, msg)) }

// Command returns a signed command with a fresh id that expires a minute after now.
func (a *Actor) Command(now int64, op api.Op) api.Command {
	return a.CommandAs(a.Fresh(), now, op)
}

// CommandAs is Command with a given id.
func (a *Actor) CommandAs(id api.ID, now int64, op api.Op) api.Command {
	cmd := api.Command{ID: id, Signer: a.ID, Expires: now + 60_000, Op: op}
	signing, err := wire.CommandSigning(cmd)
	if err != nil {
		panic(err)
	}
	cmd.Sig = a.Sign(signing)
	return cmd
}

// Cheque returns a signed cheque to payee.
func (a *Actor) Cheque(payee api.NodeID, cumulative api.Credits, bytes uint64) api.Cheque {
	c := api.Cheque{Payer: a.ID, Payee: payee, Cumulative: cumulative, Bytes: bytes}
	c.Sig = a.Sign(wire.ChequeSigning(c))
	return c
}

// Settlement returns the proof of this worker for an escrow.
func (a *Actor) Settlement(e api.Escrow, kind api.Kind, gas uint64) api.Settlement {
	r := api.JobResult{ID: e.Job, Worker: a.ID, Escrow: e.Seq, Kind: kind, Gas: gas}
	r.Sig = a.Sign(wire.ResultSigning(r))
	return api.Settlement{Escrow: e.ID, Proof: wire.ProofOf(r)}
}
