package wire

import (
	"encoding/binary"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// Domain-separation strings of the signed records below. Each ends in a zero
// byte, which no other string contains, so no record can pass for another.
const (
	commandDomain  = "inos ledger command v1\x00"
	chequeDomain   = "inos ledger cheque v1\x00"
	resultDomain   = "inos job result v1\x00"
	detailDomain   = "inos job detail v1\x00"
	identityDomain = "inos job identity v1\x00"
	escrowDomain   = "inos escrow id v1\x00"
	digestDomain   = "inos ledger command digest v1\x00"
)

// canonical is the canonical binary form that is signed and hashed: the fields
// in the order the function names them, integers as 8 little-endian bytes
// (kinds and opcodes as one), arrays of fixed size as they are, byte strings and
// lists preceded by their length as 4 little-endian bytes. One value has one
// form, so a signature covers a value and not its Cap'n Proto encoding.
type canonical []byte

func (c *canonical) u8(v uint8)      { *c = append(*c, v) }
func (c *canonical) u32(v uint32)    { *c = binary.LittleEndian.AppendUint32(*c, v) }
func (c *canonical) u64(v uint64)    { *c = binary.LittleEndian.AppendUint64(*c, v) }
func (c *canonical) i64(v int64)     { c.u64(uint64(v)) }
func (c *canonical) fixed(v []byte)  { *c = append(*c, v...) }
func (c *canonical) text(v string)   { c.u32(uint32(len(v))); *c = append(*c, v...) }
func (c *canonical) bytes(v []byte)  { c.u32(uint32(len(v))); *c = append(*c, v...) }
func (c *canonical) link(l api.Link) { c.fixed(l.Root[:]); c.fixed(l.Key[:]) }

// Opcodes of the operations in the signed form.
const (
	opGenesis uint8 = iota + 1
	opGrant
	opTransfer
	opEscrowOpen
	opEscrowSettle
	opEscrowRefund
	opStoragePay
	opCashCheque
)

// CommandSigning returns the bytes that Command.Signer signs: the domain
// "inos ledger command v1\0", ID, Signer, Expires, the opcode, and the
// operation's fields in the order of its Go type. The ledger sets Escrow.Seq,
// which is left out. It fails with Invalid when Op is nil or unknown.
func CommandSigning(cmd api.Command) ([]byte, error) {
	c := make(canonical, 0, 256)
	c.fixed([]byte(commandDomain))
	c.fixed(cmd.ID[:])
	c.fixed(cmd.Signer[:])
	c.i64(cmd.Expires)
	switch op := cmd.Op.(type) {
	case api.Genesis:
		c.u8(opGenesis)
		c.i64(int64(op.Supply))
	case api.Grant:
		c.u8(opGrant)
		c.fixed(op.Node[:])
		c.i64(int64(op.Amount))
	case api.Transfer:
		c.u8(opTransfer)
		c.fixed(op.To[:])
		c.i64(int64(op.Amount))
		c.text(op.Memo)
	case api.EscrowOpen:
		c.escrows(op)
	case api.EscrowSettle:
		c.settlements(op)
	case api.EscrowRefund:
		c.u8(opEscrowRefund)
		c.u32(uint32(len(op.Escrows)))
		for i := range op.Escrows {
			c.fixed(op.Escrows[i][:])
		}
	case api.StoragePay:
		c.storage(op)
	case api.CashCheque:
		c.u8(opCashCheque)
		c.cheque(op.Cheque)
		c.fixed(op.Cheque.Sig[:])
	default:
		return nil, api.Errorf("wire.commandsigning", api.Invalid, "the command has no operation this version knows")
	}
	return c, nil
}

func (c *canonical) escrows(op api.EscrowOpen) {
	c.u8(opEscrowOpen)
	c.u32(uint32(len(op.Escrows)))
	for i := range op.Escrows {
		e := &op.Escrows[i]
		c.fixed(e.ID[:])
		c.fixed(e.Job[:])
		c.fixed(e.Payer[:])
		c.fixed(e.Worker[:])
		c.i64(int64(e.Amount))
		c.i64(int64(e.Price))
		c.i64(e.Expires)
	}
}

func (c *canonical) settlements(op api.EscrowSettle) {
	c.u8(opEscrowSettle)
	c.u32(uint32(len(op.Settlements)))
	for i := range op.Settlements {
		s := &op.Settlements[i]
		c.fixed(s.Escrow[:])
		c.proof(&s.Proof)
		c.fixed(s.Proof.Sig[:])
	}
}

func (c *canonical) storage(op api.StoragePay) {
	c.u8(opStoragePay)
	c.fixed(op.Root[:])
	c.fixed(op.Lease[:])
	c.u32(uint32(len(op.Payments)))
	for i := range op.Payments {
		p := &op.Payments[i]
		c.fixed(p.Holder[:])
		c.i64(int64(p.Amount))
		c.u64(p.Bytes)
		c.fixed(p.Blocks[:])
	}
}

func (c *canonical) cheque(q api.Cheque) {
	c.fixed(q.Payer[:])
	c.fixed(q.Payee[:])
	c.i64(int64(q.Cumulative))
	c.u64(q.Bytes)
}

func (c *canonical) proof(p *api.JobProof) {
	c.fixed(p.Job[:])
	c.fixed(p.Worker[:])
	c.u64(p.Escrow)
	c.u8(uint8(p.Kind))
	c.u64(p.Gas)
	c.fixed(p.Detail[:])
}

// CommandDigest names what a command does: its signer and its operation, from
// the bytes of CommandSigning. The same operation signed again with another
// expiry has the same digest, so a retry can be told from another command with
// the same ID.
func CommandDigest(signing []byte) api.Hash {
	const operation = len(commandDomain) + 16 + 32 + 8 // after ID, Signer and Expires
	h := blake3.New()
	_, _ = h.WriteString(digestDomain)
	_, _ = h.Write(signing[len(commandDomain)+16 : operation-8])
	_, _ = h.Write(signing[operation:])
	return blake3Sum(h)
}

// ChequeSigning returns the bytes that Cheque.Payer signs: the domain "inos
// ledger cheque v1\0", Payer, Payee, Cumulative and Bytes.
func ChequeSigning(q api.Cheque) []byte {
	c := make(canonical, 0, 128)
	c.fixed([]byte(chequeDomain))
	c.cheque(q)
	return c
}

// ProofSigning returns the bytes that JobProof.Worker signs: the domain "inos
// job result v1\0", Job, Worker, Escrow, Kind, Gas and Detail.
func ProofSigning(p api.JobProof) []byte {
	c := make(canonical, 0, 160)
	c.fixed([]byte(resultDomain))
	c.proof(&p)
	return c
}

// EscrowID derives the ID of the escrow of one attempt at a job, so that every
// attempt has its own and both sides can name it.
func EscrowID(job api.ID, attempt uint8) api.ID {
	c := make(canonical, 0, 48)
	c.fixed([]byte(escrowDomain))
	c.fixed(job[:])
	c.u8(attempt)
	digest := sum(c)
	return api.ID(digest[:16])
}

func blake3Sum(h *blake3.Hasher) api.Hash {
	var out api.Hash
	h.Sum(out[:0])
	return out
}
