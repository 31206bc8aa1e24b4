package api

// Bounds of invites and of what a join exchanges.
const (
	MaxMultiaddr   = 256            // bytes of one multiaddr
	MaxInviteText  = 4096           // characters of an invite's text form
	MaxInvites     = 4096           // invites a seed remembers, used ones included
	MaxRevocations = 4096           // revocations a node remembers
	MaxInviteSec   = 30 * 24 * 3600 // the longest life of an invite, seconds
	MaxJoinMessage = 4 << 20        // bytes of an encoded JoinResponse
	MaxLabel       = 64             // bytes of a capability's Domain or Region
)

// Revocation ends a node's membership for good, at once wherever it is known.
// The mesh's root key signs it.
type Revocation struct {
	Mesh NodeID   `json:"mesh"`
	Node NodeID   `json:"node"`
	Time int64    `json:"time"` // when it was signed, Unix seconds
	Sig  [64]byte `json:"-"`    // by Mesh's key
}

// InviteToken lets one node join a mesh once, before it expires. It is signed by the
// mesh's root key. Whoever holds its text can use it: treat it as a secret.
type InviteToken struct {
	ID      ID       `json:"id"`
	Mesh    NodeID   `json:"mesh"`
	Seed    NodeID   `json:"seed"`    // the node that redeems it
	Addrs   []string `json:"addrs"`   // the seed's multiaddrs, 1..MaxAddrs
	Roles   Role     `json:"roles"`   // what the joiner may become, at most
	Name    string   `json:"name"`    // the joiner's name; empty lets it choose
	Expires int64    `json:"expires"` // Unix seconds
	Secret  [32]byte `json:"-"`
	Sig     [64]byte `json:"-"` // by Mesh's key
}

// JoinRequest asks a seed to redeem an invite. Proof shows knowledge of the
// invite's secret without sending it; the node's signature shows that the
// joiner holds Node's key.
type JoinRequest struct {
	Invite ID       `json:"invite"`
	Node   NodeID   `json:"node"`
	Roles  Role     `json:"roles"` // wanted; a subset of the invite's
	Name   string   `json:"name"`
	Proof  Hash     `json:"-"` // BLAKE3 keyed by the secret over mesh, invite and node
	Sig    [64]byte `json:"-"` // by Node's key
}

// JoinResponse admits the joiner and tells it who else is in the mesh.
type JoinResponse struct {
	Membership  Membership   `json:"membership"`
	Members     []Membership `json:"members"`     // at most MaxMembers
	Revocations []Revocation `json:"revocations"` // at most MaxRevocations
}
