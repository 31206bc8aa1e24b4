package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	meshv1 "inos/protocols/gen/go/mesh/v1"
)

// Bounds of the messages in this file.
const (
	MaxLeaseTerms  = 512     // bytes of an encoded LeaseTerms
	MaxNews        = 4 << 20 // bytes of an encoded News
	MaxNewsModules = 1024    // modules, and names of modules
)

// LeaseTerms tells a holder what a lease stands for. With From set the holder
// turns the provisional lease From into the final one.
type LeaseTerms struct {
	From  api.LeaseID // zero when there is nothing to rename
	Lease api.Lease
	Short bool // some block has fewer copies than wanted
}

// News brings a peer up to date about the mesh.
type News struct {
	Memberships  []api.Membership
	Revocations  []api.Revocation
	Capabilities []api.Capability // the latest the sender knows, its own among them
	Modules      []ModuleRecord
	ModuleNames  []ModuleName
}

// EncodeLeaseTerms writes the terms of a lease.
func EncodeLeaseTerms(v LeaseTerms) ([]byte, error) {
	return newRecord("wire.encodeleaseterms", func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootLeaseTerms(seg)
		if err != nil {
			return err
		}
		m.SetCopies(v.Lease.Copies)
		m.SetUntil(v.Lease.Until)
		m.SetShort(v.Short)
		return firstError(m.SetFrom(unlessZero(v.From[:])), m.SetOwner(v.Lease.Owner[:]), m.SetRoot(v.Lease.Root[:]))
	})
}

// DecodeLeaseTerms reads what EncodeLeaseTerms writes.
func DecodeLeaseTerms(b []byte) (LeaseTerms, error) {
	const op = "wire.decodeleaseterms"
	var v LeaseTerms
	msg, err := openRecord(op, b, MaxLeaseTerms)
	if err != nil {
		return v, err
	}
	m, err := meshv1.ReadRootLeaseTerms(msg)
	if err != nil {
		return v, api.E(op, api.Invalid, err)
	}
	var r reader
	r.optional(v.From[:], m.From)
	r.fixed(v.Lease.Owner[:], m.Owner)
	r.fixed(v.Lease.Root[:], m.Root)
	v.Lease.Copies, v.Lease.Until, v.Short = m.Copies(), m.Until(), m.Short()
	if v.Lease.Copies == 0 || v.Lease.Copies > api.MaxCopies || v.Lease.Until < 0 {
		r.invalid("a lease wants between 1 and 16 copies, until a time that is not negative")
	}
	if r.err != nil {
		return LeaseTerms{}, api.E(op, api.Invalid, r.err)
	}
	return v, nil
}

// EncodeNews writes news.
func EncodeNews(v News) ([]byte, error) {
	const op = "wire.encodenews"
	if len(v.Memberships) > api.MaxMembers || len(v.Capabilities) > api.MaxMembers || len(v.Revocations) > api.MaxRevocations || len(v.Modules) > MaxNewsModules || len(v.ModuleNames) > MaxNewsModules {
		return nil, api.Errorf(op, api.Exhausted, "the news has more items than its bounds")
	}
	return newRecord(op, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootNews(seg)
		if err != nil {
			return err
		}
		if err := writeAll(m.NewMemberships, v.Memberships, EncodeMembership); err != nil {
			return err
		}
		if err := writeAll(m.NewRevocations, v.Revocations, EncodeRevocation); err != nil {
			return err
		}
		if err := writeAll(m.NewCapabilities, v.Capabilities, EncodeCapability); err != nil {
			return err
		}
		return firstOf(writeModules(m, v.Modules), writeModuleNames(m, v.ModuleNames))
	})
}

func writeAll[T any](list func(int32) (capnp.DataList, error), values []T, encode func(T) ([]byte, error)) error {
	l, err := list(int32(len(values)))
	if err != nil {
		return err
	}
	for i, v := range values {
		b, err := encode(v)
		if err != nil {
			return err
		}
		if err := l.Set(i, b); err != nil {
			return err
		}
	}
	return nil
}

// DecodeNews reads what EncodeNews writes. It verifies no signature.
func DecodeNews(b []byte) (News, error) {
	const op = "wire.decodenews"
	var v News
	msg, err := openRecord(op, b, MaxNews)
	if err != nil {
		return v, err
	}
	m, err := meshv1.ReadRootNews(msg)
	if err != nil {
		return v, api.E(op, api.Invalid, err)
	}
	if v.Memberships, err = readAll(m.Memberships, api.MaxMembers, DecodeMembership); err != nil {
		return News{}, api.E(op, api.Invalid, err)
	}
	if v.Revocations, err = readAll(m.Revocations, api.MaxRevocations, DecodeRevocation); err != nil {
		return News{}, api.E(op, api.Invalid, err)
	}
	if v.Capabilities, err = readAll(m.Capabilities, api.MaxMembers, DecodeCapability); err != nil {
		return News{}, api.E(op, api.Invalid, err)
	}
	if v.Modules, err = readModules(m); err != nil {
		return News{}, api.E(op, api.Invalid, err)
	}
	if v.ModuleNames, err = readModuleNames(m); err != nil {
		return News{}, api.E(op, api.Invalid, err)
	}
	return v, nil
}

func readAll[T any](list func() (capnp.DataList, error), limit int, decode func([]byte) (T, error)) ([]T, error) {
	l, err := list()
	if err != nil {
		return nil, err
	}
	var r reader
	count := r.count(l.Len(), limit)
	if count == 0 {
		return nil, r.err
	}
	out := make([]T, 0, count)
	for i := 0; r.err == nil && i < l.Len(); i++ {
		b, err := l.At(i)
		if err != nil {
			return nil, err
		}
		v, err := decode(b)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, r.err
}
