package identity

import (
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// InviteScheme begins the text form of every invite.
const InviteScheme = "inos-invite:"

// inviteCheck is the number of checksum bytes at the end of the text form: it
// tells a line that was cut off from an invite that is wrong.
const inviteCheck = 4

// FormatInvite renders an invite as one word: InviteScheme, then unpadded
// base64url of the encoded invite and the first 4 bytes of its BLAKE3. It holds
// the secret.
func FormatInvite(t api.InviteToken) (string, error) {
	b, err := wire.EncodeInvite(t)
	if err != nil {
		return "", api.E("identity.invite", api.Other, err)
	}
	sum := blake3.Sum256(b)
	s := InviteScheme + base64.RawURLEncoding.EncodeToString(append(b, sum[:inviteCheck]...))
	if len(s) > api.MaxInviteText {
		return "", api.Errorf("identity.invite", api.Invalid, "the invite is too long; name fewer addresses")
	}
	return s, nil
}

// ParseInvite reads the text form, white space around it allowed, and verifies
// the mesh's signature. It does not look at the clock: the seed decides.
//
// Errors: Invalid when the text is no invite or was cut off, Unverified when it
// was altered.
func ParseInvite(s string) (api.InviteToken, error) {
	const op = "identity.parseinvite"
	s = strings.TrimSpace(s)
	body, ok := strings.CutPrefix(s, InviteScheme)
	if !ok {
		return api.InviteToken{}, api.Errorf(op, api.Invalid, "an invite starts with "+InviteScheme)
	}
	if len(s) > api.MaxInviteText {
		return api.InviteToken{}, api.Errorf(op, api.Invalid, "an invite has at most 4096 characters; paste one invite alone")
	}
	raw, err := decodeWord(body)
	if err != nil || len(raw) <= inviteCheck {
		return api.InviteToken{}, cutOff(op)
	}
	b, check := raw[:len(raw)-inviteCheck], raw[len(raw)-inviteCheck:]
	if sum := blake3.Sum256(b); string(sum[:inviteCheck]) != string(check) {
		return api.InviteToken{}, cutOff(op)
	}
	t, err := wire.DecodeInvite(b)
	if err != nil {
		return api.InviteToken{}, api.E(op, api.Invalid, err)
	}
	if !Verify(t.Mesh, DomainInvite, canonInvite(&t), t.Sig) {
		return api.InviteToken{}, api.Errorf(op, api.Unverified, "the invite is not signed by its mesh; ask for a new one")
	}
	return t, nil
}

func cutOff(op string) error {
	return api.Errorf(op, api.Invalid, "the invite looks cut off or mistyped; copy the whole line again")
}

// NewJoinRequest is the joiner's answer to an invite: the proof that it knows
// the secret, bound to the joiner's key, and the joiner's signature. name may be
// empty when the invite names the joiner. roles 0 asks for all that the invite
// offers.
func NewJoinRequest(node Identity, t api.InviteToken, name string, roles api.Role) api.JoinRequest {
	if roles == 0 {
		roles = t.Roles
	}
	r := api.JoinRequest{Invite: t.ID, Node: node.ID(), Roles: roles, Name: name}
	r.Proof = inviteProof(t.Secret, t.Mesh, t.ID, r.Node)
	r.Sig = node.Sign(DomainJoinRequest, canonJoinRequest(&r))
	return r
}

// inviteProof shows the secret to whoever knows it already. It names the
// joiner, so that an observer cannot use it for another node.
func inviteProof(secret [32]byte, mesh api.NodeID, invite api.ID, node api.NodeID) api.Hash {
	var c canon
	c.raw(secret[:])
	c.raw(mesh[:])
	c.raw(invite[:])
	c.raw(node[:])
	var p api.Hash
	blake3.DeriveKey(contextProof, c, p[:])
	return p
}

func sameProof(a, b api.Hash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
