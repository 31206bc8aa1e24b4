package identity

import (
	"bytes"
	"slices"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// SignMembership admits m.Node: it fills Mesh and Sig with the root's.
func SignMembership(root Identity, m api.Membership) api.Membership {
	m.Mesh = root.ID()
	m.Sig = root.Sign(DomainMembership, canonMembership(m))
	return m
}

// VerifyMembership checks the signature and that m has not expired at now,
// Unix seconds. Unverified otherwise.
func VerifyMembership(m api.Membership, now int64) error {
	const op = "identity.membership"
	if !Verify(m.Mesh, DomainMembership, canonMembership(m), m.Sig) {
		return api.Errorf(op, api.Unverified, "the membership is not signed by its mesh; ask a seed for a new invite")
	}
	if expired(m, now) {
		return api.Errorf(op, api.Unverified, "the membership has expired; ask a seed for a new invite")
	}
	return nil
}

func expired(m api.Membership, now int64) bool { return m.Expires != 0 && now >= m.Expires }

// SignRevocation ends a node's membership: it fills Mesh and Sig with the root's.
func SignRevocation(root Identity, r api.Revocation) api.Revocation {
	r.Mesh = root.ID()
	r.Sig = root.Sign(DomainRevocation, canonRevocation(r))
	return r
}

// VerifyRevocation checks the signature. Unverified otherwise.
func VerifyRevocation(r api.Revocation) error {
	if !Verify(r.Mesh, DomainRevocation, canonRevocation(r), r.Sig) {
		return api.Errorf("identity.revocation", api.Unverified, "the revocation is not signed by its mesh")
	}
	return nil
}

// SignCapability fills Node and Sig with the node's.
func SignCapability(node Identity, c api.Capability) api.Capability {
	c.Node = node.ID()
	c.Sig = node.Sign(DomainCapability, canonCapability(&c))
	return c
}

// VerifyCapability checks the signature. Unverified otherwise.
func VerifyCapability(c api.Capability) error {
	if !Verify(c.Node, DomainCapability, canonCapability(&c), c.Sig) {
		return api.Errorf("identity.capability", api.Unverified, "the capability is not signed by its node")
	}
	return nil
}

// SignReceipt fills Holder and Sig with the holder's.
func SignReceipt(holder Identity, r api.Receipt) api.Receipt {
	r.Holder = holder.ID()
	r.Sig = holder.Sign(DomainReceipt, canonReceipt(&r))
	return r
}

// VerifyReceipt checks the signature. Unverified otherwise. That the receipt is
// for the right blocks is for the caller to check, with BatchDigest.
func VerifyReceipt(r api.Receipt) error {
	if !Verify(r.Holder, DomainReceipt, canonReceipt(&r), r.Sig) {
		return api.Errorf("identity.receipt", api.Unverified, "the receipt is not signed by its holder")
	}
	return nil
}

// MaxProviderTime bounds how far ahead a provider record may expire, seconds: as
// long as the DHT keeps one.
const MaxProviderTime = 48 * 3600

// SignProvider fills Provider and Sig with the provider's.
func SignProvider(provider Identity, r api.ProviderRecord) api.ProviderRecord {
	r.Provider = provider.ID()
	r.Sig = provider.Sign(DomainProvider, canonProvider(&r))
	return r
}

// VerifyProvider checks the signature and that r is good at now, Unix seconds,
// and for no longer than MaxProviderTime. Unverified otherwise.
func VerifyProvider(r api.ProviderRecord, now int64) error {
	const op = "identity.provider"
	if r.Expires <= now || r.Expires-now > MaxProviderTime {
		return api.Errorf(op, api.Unverified, "the provider record has expired or lasts too long; check the clocks of both nodes")
	}
	if !Verify(r.Provider, DomainProvider, canonProvider(&r), r.Sig) {
		return api.Errorf(op, api.Unverified, "the provider record is not signed by its provider")
	}
	return nil
}

// BatchDigest is what Receipt.Blocks commits to: BLAKE3 over the addresses in
// ascending byte order, one after another. It does not change addrs.
func BatchDigest(addrs []api.Address) api.Hash {
	sorted := addrs
	if !slices.IsSortedFunc(addrs, compareAddr) {
		sorted = slices.Clone(addrs)
		slices.SortFunc(sorted, compareAddr)
	}
	h := blake3.New()
	for i := range sorted {
		_, _ = h.Write(sorted[i][:]) // a hash never fails
	}
	var d api.Hash
	h.Sum(d[:0])
	return d
}

func compareAddr(a, b api.Address) int { return bytes.Compare(a[:], b[:]) }
