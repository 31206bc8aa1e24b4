package wire

import (
	"strings"

	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	meshv1 "inos/protocols/gen/go/mesh/v1"
)

// Bounds of the encoded records of membership. A decoder refuses what is larger.
const (
	MaxMembershipRecord = 1 << 10 // also revocations and join requests
	MaxCapabilityRecord = 8 << 10
	MaxInviteRecord     = 8 << 10
)

// EncodeMembership writes a membership with its signature.
func EncodeMembership(v api.Membership) ([]byte, error) {
	const op = "wire.encodemembership"
	return exchangeMessage(op, 320, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootMembership(seg)
		if err != nil {
			return err
		}
		return writeMembership(op, m, v)
	})
}

// DecodeMembership reads what EncodeMembership writes. It does not verify the
// signature.
func DecodeMembership(b []byte) (api.Membership, error) {
	const op = "wire.decodemembership"
	msg, err := openExchange(op, b, MaxMembershipRecord)
	if err != nil {
		return api.Membership{}, err
	}
	m, err := meshv1.ReadRootMembership(msg)
	if err != nil {
		return api.Membership{}, api.E(op, api.Invalid, err)
	}
	return readMembership(op, m)
}

func writeMembership(op string, m meshv1.Membership, v api.Membership) error {
	if !ValidName(v.Name) {
		return badName(op)
	}
	m.SetRoles(uint8(v.Roles))
	m.SetIssued(v.Issued)
	m.SetExpires(v.Expires)
	return firstError(m.SetMesh(v.Mesh[:]), m.SetNode(v.Node[:]), m.SetName(v.Name), m.SetSig(v.Sig[:]))
}

func readMembership(op string, m meshv1.Membership) (api.Membership, error) {
	v := api.Membership{Roles: api.Role(m.Roles()), Issued: m.Issued(), Expires: m.Expires()}
	r := fieldReader{op: op}
	r.fixed(v.Mesh[:], m.Mesh)
	r.fixed(v.Node[:], m.Node)
	r.fixed(v.Sig[:], m.Sig)
	v.Name = r.text(m.Name, api.MaxName)
	if r.err == nil && !ValidName(v.Name) {
		r.err = badName(op)
	}
	r.roles(v.Roles)
	if r.err == nil && (v.Issued < 0 || v.Expires < 0) {
		r.err = api.Errorf(op, api.Invalid, "a membership's times are not negative")
	}
	if r.err != nil {
		return api.Membership{}, r.err
	}
	return v, nil
}

// EncodeRevocation writes a revocation with its signature.
func EncodeRevocation(v api.Revocation) ([]byte, error) {
	return exchangeMessage("wire.encoderevocation", 256, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootRevocation(seg)
		if err != nil {
			return err
		}
		return writeRevocation(m, v)
	})
}

// DecodeRevocation reads what EncodeRevocation writes. It does not verify the
// signature.
func DecodeRevocation(b []byte) (api.Revocation, error) {
	const op = "wire.decoderevocation"
	msg, err := openExchange(op, b, MaxMembershipRecord)
	if err != nil {
		return api.Revocation{}, err
	}
	m, err := meshv1.ReadRootRevocation(msg)
	if err != nil {
		return api.Revocation{}, api.E(op, api.Invalid, err)
	}
	return readRevocation(op, m)
}

func writeRevocation(m meshv1.Revocation, v api.Revocation) error {
	m.SetTime(v.Time)
	return firstError(m.SetMesh(v.Mesh[:]), m.SetNode(v.Node[:]), m.SetSig(v.Sig[:]))
}

func readRevocation(op string, m meshv1.Revocation) (api.Revocation, error) {
	v := api.Revocation{Time: m.Time()}
	r := fieldReader{op: op}
	r.fixed(v.Mesh[:], m.Mesh)
	r.fixed(v.Node[:], m.Node)
	r.fixed(v.Sig[:], m.Sig)
	if r.err == nil && v.Time < 0 {
		r.err = api.Errorf(op, api.Invalid, "a revocation's time is not negative")
	}
	if r.err != nil {
		return api.Revocation{}, r.err
	}
	return v, nil
}

// ValidName reports whether s may name a node: 1 to api.MaxName of a-z, 0-9
// and the hyphen.
func ValidName(s string) bool {
	if s == "" || len(s) > api.MaxName {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func badName(op string) error {
	return api.Errorf(op, api.Invalid, "a node's name has 1 to 32 of the characters a-z, 0-9 and -")
}

// fieldReader reads the fields of one record and keeps the first error.
type fieldReader struct {
	op  string
	err error
}

// fixed copies a field that has exactly the length of dst.
func (r *fieldReader) fixed(dst []byte, get func() ([]byte, error)) {
	if r.err != nil {
		return
	}
	b, err := get()
	switch {
	case err != nil:
		r.err = api.E(r.op, api.Invalid, err)
	case len(b) != len(dst):
		r.err = api.Errorf(r.op, api.Invalid, "a key, id or signature has the wrong length")
	default:
		copy(dst, b)
	}
}

// text reads printable ASCII of at most max bytes.
func (r *fieldReader) text(get func() (string, error), max int) string {
	if r.err != nil {
		return ""
	}
	s, err := get()
	if err != nil {
		r.err = api.E(r.op, api.Invalid, err)
		return ""
	}
	if !validLabel(s, max) {
		r.err = api.Errorf(r.op, api.Invalid, "a name, label or address is too long or not printable")
		return ""
	}
	return strings.Clone(s)
}

func (r *fieldReader) roles(v api.Role) {
	if r.err == nil && v&^(api.Seed|api.Hub|api.Edge) != 0 {
		r.err = api.Errorf(r.op, api.Invalid, "a role is seed, hub or edge")
	}
}

// addrs reads a list of multiaddrs.
func (r *fieldReader) addrs(get func() (capnp.TextList, error)) []string {
	if r.err != nil {
		return nil
	}
	list, err := get()
	if err != nil {
		r.err = api.E(r.op, api.Invalid, err)
		return nil
	}
	if list.Len() > api.MaxAddrs {
		r.err = api.Errorf(r.op, api.Invalid, "a node announces at most 16 addresses")
		return nil
	}
	var out []string
	for i := range list.Len() {
		out = append(out, r.text(func() (string, error) { return list.At(i) }, api.MaxMultiaddr))
	}
	return out
}

// validLabel accepts printable ASCII, which is what multiaddrs and labels are.
func validLabel(s string, max int) bool {
	if len(s) > max {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func setAddrs(op string, alloc func(int32) (capnp.TextList, error), addrs []string) error {
	if len(addrs) > api.MaxAddrs {
		return api.Errorf(op, api.Invalid, "a node announces at most 16 addresses")
	}
	list, err := alloc(int32(len(addrs)))
	if err != nil {
		return err
	}
	for i, a := range addrs {
		if !validLabel(a, api.MaxMultiaddr) {
			return api.Errorf(op, api.Invalid, "a multiaddr is printable and has at most 256 characters")
		}
		if err := list.Set(i, a); err != nil {
			return err
		}
	}
	return nil
}
