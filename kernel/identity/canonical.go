package identity

import (
	"encoding/binary"

	"inos/kernel/api"
)

// The canonical encoding of a record is its fields in the order written below:
// integers big-endian in their own width, keys, ids and hashes raw, a flag or
// kind one byte, texts and byte strings a uint32 length and then the bytes,
// lists a uint32 count and then the items. The signature is left out. A record
// never changes its encoding; a new version has a new domain.

// The domains of signed records. Those of the ledger and of jobs are in
// kernel/wire, with their encodings.
const (
	DomainMembership  = "inos/membership/v1"
	DomainRevocation  = "inos/revocation/v1"
	DomainCapability  = "inos/capability/v1"
	DomainInvite      = "inos/invite/v1"
	DomainJoinRequest = "inos/join-request/v1"
	DomainReceipt     = "inos/receipt/v1"
	DomainProvider    = "inos/provider/v1"
)

// canon appends fields to a buffer.
type canon []byte

func (c *canon) raw(b []byte) { *c = append(*c, b...) }
func (c *canon) u8(v uint8)   { *c = append(*c, v) }
func (c *canon) u16(v uint16) { *c = binary.BigEndian.AppendUint16(*c, v) }
func (c *canon) u32(v uint32) { *c = binary.BigEndian.AppendUint32(*c, v) }
func (c *canon) u64(v uint64) { *c = binary.BigEndian.AppendUint64(*c, v) }
func (c *canon) i64(v int64)  { c.u64(uint64(v)) }

func (c *canon) text(s string) {
	c.u32(uint32(len(s)))
	*c = append(*c, s...)
}

func (c *canon) texts(list []string) {
	c.u32(uint32(len(list)))
	for _, s := range list {
		c.text(s)
	}
}

func canonMembership(m api.Membership) []byte {
	var c canon
	c.raw(m.Mesh[:])
	c.raw(m.Node[:])
	c.u8(uint8(m.Roles))
	c.text(m.Name)
	c.i64(m.Issued)
	c.i64(m.Expires)
	return c
}

func canonRevocation(r api.Revocation) []byte {
	var c canon
	c.raw(r.Mesh[:])
	c.raw(r.Node[:])
	c.i64(r.Time)
	return c
}

func canonCapability(v *api.Capability) []byte {
	c := make(canon, 0, 512)
	c.raw(v.Node[:])
	c.u64(v.Seq)
	c.u8(uint8(v.Roles))
	c.text(v.Name)
	c.text(v.Domain)
	c.text(v.Region)
	c.texts(v.Addrs)
	c.u64(v.Free)
	c.u64(v.Used)
	c.u16(v.Cores)
	c.u16(v.Queue)
	c.u16(v.Workers)
	c.i64(int64(v.Prices.StorageGiBMonth))
	c.i64(int64(v.Prices.ServeGiB))
	c.i64(int64(v.Prices.ComputeGgas))
	return c
}

func canonInvite(t *api.InviteToken) []byte {
	c := make(canon, 0, 512)
	c.raw(t.ID[:])
	c.raw(t.Mesh[:])
	c.raw(t.Seed[:])
	c.texts(t.Addrs)
	c.u8(uint8(t.Roles))
	c.text(t.Name)
	c.i64(t.Expires)
	c.raw(t.Secret[:])
	return c
}

func canonJoinRequest(r *api.JoinRequest) []byte {
	var c canon
	c.raw(r.Invite[:])
	c.raw(r.Node[:])
	c.u8(uint8(r.Roles))
	c.text(r.Name)
	c.raw(r.Proof[:])
	return c
}

func canonReceipt(r *api.Receipt) []byte {
	var c canon
	c.raw(r.Holder[:])
	c.raw(r.Lease[:])
	c.raw(r.Blocks[:])
	c.u32(r.Count)
	c.u64(r.Bytes)
	c.i64(r.Time)
	return c
}

func canonProvider(r *api.ProviderRecord) []byte {
	var c canon
	c.raw(r.Root[:])
	c.raw(r.Provider[:])
	c.i64(r.Expires)
	return c
}
