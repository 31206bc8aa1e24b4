package identity

import (
	"bytes"
	"slices"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// InviteState is what became of an invite.
type InviteState uint8

// The states.
const (
	InviteOpen InviteState = iota
	InviteUsed
	InviteRevoked
)

// InviteRecord is what a seed remembers of one invite. It holds no secret: the
// secret derives from the mesh root's seed and the invite's id.
type InviteRecord struct {
	ID      api.ID      `json:"id"`
	Roles   api.Role    `json:"roles"`
	Name    string      `json:"name,omitempty"`
	Expires int64       `json:"expires"` // Unix seconds
	State   InviteState `json:"state"`
	Node    api.NodeID  `json:"node"` // that used it
}

// InviteBook is a seed's record of invites. It issues them, redeems each at
// most once, and forgets the expired. It is not safe for concurrent use. The
// host stores Records after every change and gives them to NewInviteBook.
type InviteBook struct {
	root    Identity
	seed    api.NodeID
	table   *MemberTable
	records map[api.ID]InviteRecord // at most api.MaxInvites
}

// NewInviteBook makes the book of a seed that holds the mesh's root key.
// Memberships that it issues are merged into table.
func NewInviteBook(root Identity, seed api.NodeID, table *MemberTable, records []InviteRecord) (*InviteBook, error) {
	if table.Mesh() != root.ID() {
		return nil, api.Errorf("identity.book", api.Denied, "this node does not hold the mesh's root key; ask a seed for invites")
	}
	b := &InviteBook{root: root, seed: seed, table: table, records: make(map[api.ID]InviteRecord)}
	for _, r := range records {
		if len(b.records) < api.MaxInvites {
			b.records[r.ID] = r
		}
	}
	return b, nil
}

// InviteTerms are what an invite grants.
type InviteTerms struct {
	ID      api.ID   // fresh and random, drawn by the host
	Roles   api.Role // what the joiner may become; not zero
	Name    string   // the joiner's name; empty lets it choose
	Addrs   []string // the seed's multiaddrs, 1..api.MaxAddrs
	Expires int64    // Unix seconds, after now and within api.MaxInviteSec
}

// Issue makes an invite. Errors: Invalid terms, Exists for a name or id that is
// taken, Exhausted when too many invites are open.
func (b *InviteBook) Issue(t InviteTerms, now int64) (api.InviteToken, error) {
	const op = "identity.issue"
	if err := b.checkTerms(op, t, now); err != nil {
		return api.InviteToken{}, err
	}
	if len(b.records) >= api.MaxInvites && !b.forget(now) {
		return api.InviteToken{}, api.Errorf(op, api.Exhausted, "4096 invites are open; revoke some or let them expire")
	}
	b.records[t.ID] = InviteRecord{ID: t.ID, Roles: t.Roles, Name: t.Name, Expires: t.Expires}
	token := api.InviteToken{
		ID: t.ID, Mesh: b.root.ID(), Seed: b.seed, Addrs: slices.Clone(t.Addrs),
		Roles: t.Roles, Name: t.Name, Expires: t.Expires, Secret: b.secret(t.ID),
	}
	token.Sig = b.root.Sign(DomainInvite, canonInvite(&token))
	return token, nil
}

func (b *InviteBook) checkTerms(op string, t InviteTerms, now int64) error {
	switch {
	case t.ID.IsZero():
		return api.Errorf(op, api.Invalid, "an invite needs a random id")
	case !validRoles(t.Roles):
		return api.Errorf(op, api.Invalid, "an invite grants the roles seed, hub or edge")
	case t.Name != "" && !wire.ValidName(t.Name):
		return api.Errorf(op, api.Invalid, "a node's name has 1 to 32 of the characters a-z, 0-9 and -")
	case len(t.Addrs) == 0 || len(t.Addrs) > api.MaxAddrs:
		return api.Errorf(op, api.Invalid, "an invite names 1 to 16 addresses of the seed")
	case t.Expires <= now || t.Expires-now > api.MaxInviteSec:
		return api.Errorf(op, api.Invalid, "an invite expires within 30 days")
	}
	if _, taken := b.records[t.ID]; taken {
		return api.Errorf(op, api.Exists, "an invite with this id was issued before")
	}
	if t.Name != "" {
		return b.nameFree(op, t.Name, api.NodeID{}, now)
	}
	return nil
}

func validRoles(r api.Role) bool { return r != 0 && r&^(api.Seed|api.Hub|api.Edge) == 0 }

// nameFree returns Exists if another live member has the name.
func (b *InviteBook) nameFree(op, name string, node api.NodeID, now int64) error {
	m, taken := b.table.ByName(name)
	if taken && m.Node != node && b.table.Allowed(m.Node, now) == nil {
		return api.Errorf(op, api.Exists, "the name "+name+" belongs to another member ("+m.Node.Short()+"); choose another with --name")
	}
	return nil
}

// forget drops the records that have expired; redeeming one answers "unknown or
// expired" afterwards.
func (b *InviteBook) forget(now int64) bool {
	before := len(b.records)
	for id, r := range b.records {
		if now >= r.Expires {
			delete(b.records, id)
		}
	}
	return len(b.records) < before
}

func (b *InviteBook) secret(id api.ID) [32]byte { return b.root.derive(contextInvite, id[:]) }

// Revoke takes back an invite that was not used. Errors: NotFound, and Conflict
// when it was used: revoke the member instead.
func (b *InviteBook) Revoke(id api.ID) error {
	const op = "identity.revokeinvite"
	r, ok := b.records[id]
	if !ok {
		return api.Errorf(op, api.NotFound, "there is no such invite")
	}
	if r.State == InviteUsed {
		return api.Errorf(op, api.Conflict, "the invite was used by "+r.Node.String()+"; revoke that member instead")
	}
	r.State = InviteRevoked
	b.records[id] = r
	return nil
}

// Redeem admits the joiner and marks the invite used; the caller must store
// Records before it answers. A joiner that is a member already gets its
// membership again, and its invite stays open unless it was the one used, so a
// lost answer can be asked for again.
//
// Errors: Unverified (signature or proof), NotFound (unknown), Timeout
// (expired), Exists (used by another node, or the name is taken), Denied
// (revoked invite or node, or roles beyond the invite's), Invalid (name).
func (b *InviteBook) Redeem(req api.JoinRequest, now int64) (api.Membership, error) {
	const op = "identity.redeem"
	record, err := b.authenticate(op, req)
	if err != nil {
		return api.Membership{}, err
	}
	if b.table.Allowed(req.Node, now) == nil {
		m, _ := b.table.Get(req.Node)
		return m, nil
	}
	if err := b.redeemable(op, record, req, now); err != nil {
		return api.Membership{}, err
	}
	name := req.Name
	if record.Name != "" {
		name = record.Name
	}
	if !wire.ValidName(name) {
		return api.Membership{}, api.Errorf(op, api.Invalid, "a node's name has 1 to 32 of the characters a-z, 0-9 and -")
	}
	if err := b.nameFree(op, name, req.Node, now); err != nil {
		return api.Membership{}, err
	}
	m := SignMembership(b.root, api.Membership{Node: req.Node, Roles: req.Roles, Name: name, Issued: now})
	if _, err := b.table.Merge(m, now); err != nil {
		return api.Membership{}, api.E(op, api.Other, err)
	}
	record.State, record.Node = InviteUsed, req.Node
	b.records[record.ID] = record
	return m, nil
}

// authenticate finds the invite and checks that the joiner holds its key and
// knows the secret. Nothing about the invite is told before that.
func (b *InviteBook) authenticate(op string, req api.JoinRequest) (InviteRecord, error) {
	if !Verify(req.Node, DomainJoinRequest, canonJoinRequest(&req), req.Sig) {
		return InviteRecord{}, api.Errorf(op, api.Unverified, "the request is not signed by the node that asks")
	}
	if !sameProof(req.Proof, inviteProof(b.secret(req.Invite), b.root.ID(), req.Invite, req.Node)) {
		return InviteRecord{}, api.Errorf(op, api.Unverified, "this seed did not issue the invite; check that it is for this mesh")
	}
	record, ok := b.records[req.Invite]
	if !ok {
		return InviteRecord{}, api.Errorf(op, api.NotFound, "the seed no longer knows this invite; it has expired, ask for a new one")
	}
	return record, nil
}

func (b *InviteBook) redeemable(op string, r InviteRecord, req api.JoinRequest, now int64) error {
	switch {
	case r.State == InviteRevoked:
		return api.Errorf(op, api.Denied, "the invite was revoked; ask for a new one")
	case r.State == InviteUsed:
		return api.Errorf(op, api.Exists, "the invite was used already; each admits one node, ask for a new one")
	case now >= r.Expires:
		return api.Errorf(op, api.Timeout, "the invite has expired; ask for a new one")
	case !validRoles(req.Roles) || req.Roles&^r.Roles != 0:
		return api.Errorf(op, api.Denied, "the invite does not grant the role "+req.Roles.String()+"; it grants "+r.Roles.String())
	}
	if err := b.table.Allowed(req.Node, now); api.KindOf(err) == api.Denied {
		return api.Errorf(op, api.Denied, "this node's membership was revoked for good; join with a new identity")
	}
	return nil
}

// Records returns what the host stores, in id order.
func (b *InviteBook) Records() []InviteRecord {
	out := make([]InviteRecord, 0, len(b.records))
	for _, r := range b.records {
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y InviteRecord) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	return out
}
