package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	meshv1 "inos/protocols/gen/go/mesh/v1"
)

// EncodeInvite writes an invite with its secret and signature.
func EncodeInvite(v api.InviteToken) ([]byte, error) {
	const op = "wire.encodeinvite"
	if v.Name != "" && !ValidName(v.Name) {
		return nil, badName(op)
	}
	return exchangeMessage(op, 1024, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootInvite(seg)
		if err != nil {
			return err
		}
		m.SetRoles(uint8(v.Roles))
		m.SetExpires(v.Expires)
		return firstError(m.SetId(v.ID[:]), m.SetMesh(v.Mesh[:]), m.SetSeed(v.Seed[:]), m.SetName(v.Name),
			setAddrs(op, m.NewAddrs, v.Addrs), m.SetSecret(v.Secret[:]), m.SetSig(v.Sig[:]))
	})
}

// DecodeInvite reads what EncodeInvite writes. It does not verify the
// signature.
func DecodeInvite(b []byte) (api.InviteToken, error) {
	const op = "wire.decodeinvite"
	msg, err := openExchange(op, b, MaxInviteRecord)
	if err != nil {
		return api.InviteToken{}, err
	}
	m, err := meshv1.ReadRootInvite(msg)
	if err != nil {
		return api.InviteToken{}, api.E(op, api.Invalid, err)
	}
	v := api.InviteToken{Roles: api.Role(m.Roles()), Expires: m.Expires()}
	r := fieldReader{op: op}
	r.fixed(v.ID[:], m.Id)
	r.fixed(v.Mesh[:], m.Mesh)
	r.fixed(v.Seed[:], m.Seed)
	r.fixed(v.Secret[:], m.Secret)
	r.fixed(v.Sig[:], m.Sig)
	r.roles(v.Roles)
	v.Name = r.text(m.Name, api.MaxName)
	v.Addrs = r.addrs(m.Addrs)
	if r.err == nil && v.Name != "" && !ValidName(v.Name) {
		r.err = badName(op)
	}
	if r.err != nil {
		return api.InviteToken{}, r.err
	}
	return v, nil
}

// EncodeJoinRequest writes a join request with its proof and signature.
func EncodeJoinRequest(v api.JoinRequest) ([]byte, error) {
	const op = "wire.encodejoinrequest"
	if v.Name != "" && !ValidName(v.Name) {
		return nil, badName(op)
	}
	return exchangeMessage(op, 320, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootJoinRequest(seg)
		if err != nil {
			return err
		}
		m.SetRoles(uint8(v.Roles))
		return firstError(m.SetInvite(v.Invite[:]), m.SetNode(v.Node[:]), m.SetName(v.Name),
			m.SetProof(v.Proof[:]), m.SetSig(v.Sig[:]))
	})
}

// DecodeJoinRequest reads what EncodeJoinRequest writes. It verifies neither
// the proof nor the signature.
func DecodeJoinRequest(b []byte) (api.JoinRequest, error) {
	const op = "wire.decodejoinrequest"
	msg, err := openExchange(op, b, MaxMembershipRecord)
	if err != nil {
		return api.JoinRequest{}, err
	}
	m, err := meshv1.ReadRootJoinRequest(msg)
	if err != nil {
		return api.JoinRequest{}, api.E(op, api.Invalid, err)
	}
	v := api.JoinRequest{Roles: api.Role(m.Roles())}
	r := fieldReader{op: op}
	r.fixed(v.Invite[:], m.Invite)
	r.fixed(v.Node[:], m.Node)
	r.fixed(v.Proof[:], m.Proof)
	r.fixed(v.Sig[:], m.Sig)
	r.roles(v.Roles)
	v.Name = r.text(m.Name, api.MaxName)
	if r.err == nil && v.Name != "" && !ValidName(v.Name) {
		r.err = badName(op)
	}
	if r.err != nil {
		return api.JoinRequest{}, r.err
	}
	return v, nil
}

// EncodeJoinResponse writes the answer to a join: also the form in which peers
// share their member tables, with a zero-valued Membership left out.
func EncodeJoinResponse(v api.JoinResponse) ([]byte, error) {
	const op = "wire.encodejoinresponse"
	if len(v.Members) > api.MaxMembers || len(v.Revocations) > api.MaxRevocations {
		return nil, api.Errorf(op, api.Exhausted, "a mesh has at most 4096 members and as many revocations")
	}
	hint := 320 + 272*len(v.Members) + 176*len(v.Revocations)
	return exchangeMessage(op, hint, func(seg *capnp.Segment) error {
		m, err := meshv1.NewRootJoinResponse(seg)
		if err != nil {
			return err
		}
		if !v.Membership.Node.IsZero() {
			own, err := m.NewMembership()
			if err != nil {
				return err
			}
			if err := writeMembership(op, own, v.Membership); err != nil {
				return err
			}
		}
		return firstError(writeMembers(op, m, v.Members), writeRevocations(m, v.Revocations))
	})
}

func writeMembers(op string, m meshv1.JoinResponse, members []api.Membership) error {
	list, err := m.NewMembers(int32(len(members)))
	if err != nil {
		return err
	}
	for i := range members {
		if err := writeMembership(op, list.At(i), members[i]); err != nil {
			return err
		}
	}
	return nil
}

func writeRevocations(m meshv1.JoinResponse, revocations []api.Revocation) error {
	list, err := m.NewRevocations(int32(len(revocations)))
	if err != nil {
		return err
	}
	for i := range revocations {
		if err := writeRevocation(list.At(i), revocations[i]); err != nil {
			return err
		}
	}
	return nil
}

// DecodeJoinResponse reads what EncodeJoinResponse writes. It verifies no
// signature.
func DecodeJoinResponse(b []byte) (api.JoinResponse, error) {
	const op = "wire.decodejoinresponse"
	var v api.JoinResponse
	msg, err := openExchange(op, b, api.MaxJoinMessage)
	if err != nil {
		return v, err
	}
	m, err := meshv1.ReadRootJoinResponse(msg)
	if err != nil {
		return v, api.E(op, api.Invalid, err)
	}
	if m.HasMembership() {
		own, err := m.Membership()
		if err != nil {
			return v, api.E(op, api.Invalid, err)
		}
		if v.Membership, err = readMembership(op, own); err != nil {
			return api.JoinResponse{}, err
		}
	}
	if v.Members, err = readMembers(op, m); err != nil {
		return api.JoinResponse{}, err
	}
	if v.Revocations, err = readRevocations(op, m); err != nil {
		return api.JoinResponse{}, err
	}
	return v, nil
}

func readMembers(op string, m meshv1.JoinResponse) ([]api.Membership, error) {
	list, err := m.Members()
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	if list.Len() > api.MaxMembers {
		return nil, api.Errorf(op, api.Invalid, "the message lists more than 4096 members")
	}
	var out []api.Membership
	for i := range list.Len() {
		v, err := readMembership(op, list.At(i))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func readRevocations(op string, m meshv1.JoinResponse) ([]api.Revocation, error) {
	list, err := m.Revocations()
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	if list.Len() > api.MaxRevocations {
		return nil, api.Errorf(op, api.Invalid, "the message lists more than 4096 revocations")
	}
	var out []api.Revocation
	for i := range list.Len() {
		v, err := readRevocation(op, list.At(i))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
