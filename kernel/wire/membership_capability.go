package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	meshv1 "inos/protocols/gen/go/mesh/v1"
)

// EncodeCapability writes a capability with its signature.
func EncodeCapability(v api.Capability) ([]byte, error) {
	const op = "wire.encodecapability"
	if !ValidName(v.Name) {
		return nil, badName(op)
	}
	if !validLabel(v.Domain, api.MaxLabel) || !validLabel(v.Region, api.MaxLabel) {
		return nil, api.Errorf(op, api.Invalid, "a domain or region is printable and has at most 64 characters")
	}
	return exchangeMessage(op, 1024, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootCapability(seg)
		if err != nil {
			return err
		}
		m.SetSeq(v.Seq)
		m.SetRoles(uint8(v.Roles))
		m.SetFree(v.Free)
		m.SetUsed(v.Used)
		m.SetCores(v.Cores)
		m.SetQueue(v.Queue)
		m.SetWorkers(v.Workers)
		m.SetStorageGibMonth(int64(v.Prices.StorageGiBMonth))
		m.SetServeGib(int64(v.Prices.ServeGiB))
		m.SetComputeGgas(int64(v.Prices.ComputeGgas))
		return firstError(m.SetNode(v.Node[:]), m.SetName(v.Name), m.SetDomain(v.Domain), m.SetRegion(v.Region),
			setAddrs(op, m.NewAddrs, v.Addrs), m.SetSig(v.Sig[:]))
	})
}

// DecodeCapability reads what EncodeCapability writes. It does not verify the
// signature.
func DecodeCapability(b []byte) (api.Capability, error) {
	const op = "wire.decodecapability"
	msg, err := openExchange(op, b, MaxCapabilityRecord)
	if err != nil {
		return api.Capability{}, err
	}
	m, err := meshv1.ReadRootCapability(msg)
	if err != nil {
		return api.Capability{}, api.E(op, api.Invalid, err)
	}
	v := api.Capability{
		Seq: m.Seq(), Roles: api.Role(m.Roles()), Free: m.Free(), Used: m.Used(),
		Cores: m.Cores(), Queue: m.Queue(), Workers: m.Workers(),
		Prices: api.Prices{
			StorageGiBMonth: api.Credits(m.StorageGibMonth()),
			ServeGiB:        api.Credits(m.ServeGib()),
			ComputeGgas:     api.Credits(m.ComputeGgas()),
		},
	}
	r := fieldReader{op: op}
	r.fixed(v.Node[:], m.Node)
	r.fixed(v.Sig[:], m.Sig)
	r.roles(v.Roles)
	v.Name = r.text(m.Name, api.MaxName)
	v.Domain = r.text(m.Domain, api.MaxLabel)
	v.Region = r.text(m.Region, api.MaxLabel)
	v.Addrs = r.addrs(m.Addrs)
	if r.err == nil && !ValidName(v.Name) {
		r.err = badName(op)
	}
	if p := v.Prices; r.err == nil && (p.StorageGiBMonth < 0 || p.ServeGiB < 0 || p.ComputeGgas < 0) {
		r.err = api.Errorf(op, api.Invalid, "a price is not negative")
	}
	if r.err != nil {
		return api.Capability{}, r.err
	}
	return v, nil
}
