package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	meshv1 "inos/protocols/gen/go/mesh/v1"
)

// maxProviderFrame bounds the encoded messages about providers.
const maxProviderFrame = 512

// ProviderPut is the body of providers.put: a record, and whether its receiver
// is to tell the nodes nearest to the root.
type ProviderPut struct {
	Record api.ProviderRecord
	Spread bool
}

// EncodeProviderPut writes a record with its signature.
func EncodeProviderPut(p ProviderPut) ([]byte, error) {
	return exchangeMessage("wire.encodeproviderput", 256, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootProviderRecord(seg)
		if err != nil {
			return err
		}
		m.SetExpires(p.Record.Expires)
		m.SetSpread(p.Spread)
		return firstError(m.SetRoot(p.Record.Root[:]), m.SetProvider(p.Record.Provider[:]), m.SetSig(p.Record.Sig[:]))
	})
}

// DecodeProviderPut reads what EncodeProviderPut writes. It does not verify the
// signature.
func DecodeProviderPut(b []byte) (ProviderPut, error) {
	const op = "wire.decodeproviderput"
	msg, err := openExchange(op, b, maxProviderFrame)
	if err != nil {
		return ProviderPut{}, err
	}
	m, err := meshv1.ReadRootProviderRecord(msg)
	if err != nil {
		return ProviderPut{}, api.E(op, api.Invalid, err)
	}
	p := ProviderPut{Record: api.ProviderRecord{Expires: m.Expires()}, Spread: m.Spread()}
	r := fieldReader{op: op}
	r.fixed(p.Record.Root[:], m.Root)
	r.fixed(p.Record.Provider[:], m.Provider)
	r.fixed(p.Record.Sig[:], m.Sig)
	return p, r.err
}

// ProviderQuery is the body of providers.find.
type ProviderQuery struct {
	Root api.Address
	Max  uint16
}

// EncodeProviderQuery writes a query.
func EncodeProviderQuery(q ProviderQuery) ([]byte, error) {
	return exchangeMessage("wire.encodeproviderquery", 128, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootProviderQuery(seg)
		if err != nil {
			return err
		}
		m.SetMax(q.Max)
		return m.SetRoot(q.Root[:])
	})
}

// DecodeProviderQuery reads what EncodeProviderQuery writes.
func DecodeProviderQuery(b []byte) (ProviderQuery, error) {
	const op = "wire.decodeproviderquery"
	msg, err := openExchange(op, b, maxProviderFrame)
	if err != nil {
		return ProviderQuery{}, err
	}
	m, err := meshv1.ReadRootProviderQuery(msg)
	if err != nil {
		return ProviderQuery{}, api.E(op, api.Invalid, err)
	}
	q := ProviderQuery{Max: m.Max()}
	r := fieldReader{op: op}
	r.fixed(q.Root[:], m.Root)
	return q, r.err
}
