package identity

import (
	"bytes"
	"slices"
	"sync"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// MemberTable is who belongs to one mesh: the signed memberships and
// revocations that this node has seen. Merging is idempotent and independent of
// order, so tables that have seen the same records are equal. It is safe for
// concurrent use: connection gating reads it while the coordinator merges.
type MemberTable struct {
	mesh api.NodeID

	mu      sync.RWMutex
	members map[api.NodeID]api.Membership // guarded by mu; at most api.MaxMembers
	revoked map[api.NodeID]api.Revocation // guarded by mu; at most api.MaxRevocations
	names   map[string]api.NodeID         // guarded by mu; the holder of each name
}

// NewMemberTable makes the empty table of a mesh.
func NewMemberTable(mesh api.NodeID) *MemberTable {
	return &MemberTable{
		mesh:    mesh,
		members: make(map[api.NodeID]api.Membership),
		revoked: make(map[api.NodeID]api.Revocation),
		names:   make(map[string]api.NodeID),
	}
}

// Mesh returns the root key that names the mesh.
func (t *MemberTable) Mesh() api.NodeID { return t.mesh }

// Merge adds a membership after verifying it, and reports whether the table
// changed. A later Issued replaces an earlier one of the same node.
//
// Errors: Unverified (wrong mesh, signature or expired at now, Unix seconds),
// Exhausted when the table is full.
func (t *MemberTable) Merge(m api.Membership, now int64) (bool, error) {
	const op = "identity.merge"
	if m.Mesh != t.mesh {
		return false, api.Errorf(op, api.Unverified, "the membership is for another mesh")
	}
	t.mu.RLock()
	old, known := t.members[m.Node]
	t.mu.RUnlock()
	if known && (old == m || !newer(m, old)) {
		return false, nil
	}
	if err := VerifyMembership(m, now); err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, known = t.members[m.Node]; known && !newer(m, old) {
		return false, nil
	}
	if !known && len(t.members) >= api.MaxMembers && !t.evictExpired(now) {
		return false, api.Errorf(op, api.Exhausted, "the mesh has 4096 members; revoke one before admitting another")
	}
	t.members[m.Node] = m
	if known && old.Name != m.Name {
		t.rename(old.Name)
	}
	t.claim(m)
	return true, nil
}

// newer orders the memberships of one node: by Issued, then by signature so
// that every table picks the same.
func newer(m, old api.Membership) bool {
	if m.Issued != old.Issued {
		return m.Issued > old.Issued
	}
	return bytes.Compare(m.Sig[:], old.Sig[:]) > 0
}

// claim gives m its name unless an earlier member has it.
func (t *MemberTable) claim(m api.Membership) {
	holder, taken := t.names[m.Name]
	if taken && holder != m.Node {
		other := t.members[holder]
		if other.Issued < m.Issued || (other.Issued == m.Issued && bytes.Compare(holder[:], m.Node[:]) < 0) {
			return
		}
	}
	t.names[m.Name] = m.Node
}

// rename finds the next holder of a name that its holder gave up.
func (t *MemberTable) rename(name string) {
	delete(t.names, name)
	for _, m := range t.members {
		if m.Name == name {
			t.claim(m)
		}
	}
}

// evictExpired drops one membership that has expired.
func (t *MemberTable) evictExpired(now int64) bool {
	for node, m := range t.members {
		if expired(m, now) {
			delete(t.members, node)
			t.rename(m.Name)
			return true
		}
	}
	return false
}

// Revoke adds a revocation after verifying it, and reports whether the table
// changed. The earliest of several for one node counts.
//
// Errors: Unverified (wrong mesh or signature), Exhausted when the table is full.
func (t *MemberTable) Revoke(r api.Revocation) (bool, error) {
	const op = "identity.revoke"
	if r.Mesh != t.mesh {
		return false, api.Errorf(op, api.Unverified, "the revocation is for another mesh")
	}
	t.mu.RLock()
	old, known := t.revoked[r.Node]
	t.mu.RUnlock()
	if known && !earlier(r, old) {
		return false, nil
	}
	if err := VerifyRevocation(r); err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, known = t.revoked[r.Node]; known && !earlier(r, old) {
		return false, nil
	}
	if !known && len(t.revoked) >= api.MaxRevocations {
		return false, api.Errorf(op, api.Exhausted, "the mesh has 4096 revocations; found a new mesh")
	}
	t.revoked[r.Node] = r
	return true, nil
}

func earlier(r, old api.Revocation) bool {
	if r.Time != old.Time {
		return r.Time < old.Time
	}
	return bytes.Compare(r.Sig[:], old.Sig[:]) < 0
}

// Allowed returns nil if node is a member at now, Unix seconds. Errors:
// NotFound (never admitted), Denied (revoked), Unverified (expired).
func (t *MemberTable) Allowed(node api.NodeID, now int64) error {
	const op = "identity.allowed"
	t.mu.RLock()
	defer t.mu.RUnlock()
	if _, ok := t.revoked[node]; ok { // whatever its Time: clocks differ
		return api.Errorf(op, api.Denied, "the node's membership was revoked")
	}
	m, ok := t.members[node]
	if !ok {
		return api.Errorf(op, api.NotFound, "the node is not a member of this mesh; join it with an invite")
	}
	if expired(m, now) {
		return api.Errorf(op, api.Unverified, "the node's membership has expired; ask a seed for a new invite")
	}
	return nil
}

// Get returns a node's membership, revoked and expired ones included.
func (t *MemberTable) Get(node api.NodeID) (api.Membership, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	m, ok := t.members[node]
	return m, ok
}

// ByName returns the member that holds a name. When two seeds gave the same
// name, the earlier issued has it.
func (t *MemberTable) ByName(name string) (api.Membership, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	node, ok := t.names[name]
	if !ok {
		return api.Membership{}, false
	}
	return t.members[node], true
}

// Len is the number of memberships, revoked and expired ones included.
func (t *MemberTable) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.members)
}

// Memberships returns every membership in node order, to share and to store.
func (t *MemberTable) Memberships() []api.Membership {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make([]api.Membership, 0, len(t.members))
	for _, m := range t.members {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b api.Membership) int { return bytes.Compare(a.Node[:], b.Node[:]) })
	return out
}

// Revocations returns every revocation in node order, to share and to store.
func (t *MemberTable) Revocations() []api.Revocation {
	t.mu.RLock()
	defer t.mu.RUnlock()
	out := make([]api.Revocation, 0, len(t.revoked))
	for _, r := range t.revoked {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b api.Revocation) int { return bytes.Compare(a.Node[:], b.Node[:]) })
	return out
}

// Digest is equal on two nodes exactly when their tables are: a cheap question
// before sharing them.
func (t *MemberTable) Digest() api.Hash {
	h := blake3.New()
	for _, m := range t.Memberships() {
		_, _ = h.Write(m.Sig[:])
	}
	_, _ = h.Write([]byte{0})
	for _, r := range t.Revocations() {
		_, _ = h.Write(r.Sig[:])
	}
	var d api.Hash
	h.Sum(d[:0])
	return d
}
