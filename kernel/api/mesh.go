package api

// Role is what a node does in the mesh; a node may have several. Bits, so a
// set of roles is their sum.
type Role uint8

// The roles.
const (
	Seed Role = 1 << iota // holds the ledger and admits members
	Hub                   // reachable; stores and relays
	Edge                  // tabs and leaves: caches and computes, never a durable holder
)

// String lists the roles, e.g. "seed+hub".
func (r Role) String() string {
	s := ""
	for i, name := range [...]string{"seed", "hub", "edge"} {
		if r&(1<<i) == 0 {
			continue
		}
		if s != "" {
			s += "+"
		}
		s += name
	}
	return s
}

// MarshalText returns String.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText parses String's form.
func (r *Role) UnmarshalText(b []byte) error {
	*r = 0
	for len(b) > 0 {
		i := 0
		for i < len(b) && b[i] != '+' {
			i++
		}
		switch string(b[:i]) {
		case "seed":
			*r |= Seed
		case "hub":
			*r |= Hub
		case "edge":
			*r |= Edge
		default:
			return Errorf("api.role", Invalid, "a role is seed, hub or edge")
		}
		if i < len(b) {
			i++
		}
		b = b[i:]
	}
	return nil
}

// Membership admits one node to a mesh. The mesh's root key, or a seed that
// the root key admitted, signs it.
type Membership struct {
	Mesh    NodeID   `json:"mesh"` // the mesh's root public key names the mesh
	Node    NodeID   `json:"node"`
	Roles   Role     `json:"roles"`
	Name    string   `json:"name"`    // chosen by the node, unique in the mesh, 1..32 of [a-z0-9-]
	Issued  int64    `json:"issued"`  // Unix seconds
	Expires int64    `json:"expires"` // Unix seconds; 0 means never
	Sig     [64]byte `json:"-"`       // by Mesh's key
}

// Capability is what a node offers now, gossiped and signed by the node. Later
// Seq replaces earlier.
type Capability struct {
	Node    NodeID   `json:"node"`
	Seq     uint64   `json:"seq"`
	Roles   Role     `json:"roles"`
	Name    string   `json:"name"`
	Domain  string   `json:"domain,omitempty"` // failure domain label, e.g. "rack-2"
	Region  string   `json:"region,omitempty"`
	Addrs   []string `json:"addrs"` // multiaddrs, at most MaxAddrs
	Free    uint64   `json:"free"`  // bytes the store may still take
	Used    uint64   `json:"used"`  // bytes stored
	Cores   uint16   `json:"cores"`
	Queue   uint16   `json:"queue"`   // jobs waiting or running
	Workers uint16   `json:"workers"` // jobs run at once
	Prices  Prices   `json:"prices"`
	Sig     [64]byte `json:"-"`
}

// Bounds of the mesh's tables.
const (
	MaxAddrs   = 16
	MaxMembers = 4096
	MaxName    = 32
)

// Peer is one member as this node sees it: the row of `inos peers`.
type Peer struct {
	Capability
	Self      bool    `json:"self"`
	Online    bool    `json:"online"`
	LatencyMS float64 `json:"latency_ms"`        // smoothed round trip; 0 when unknown
	LastSeen  int64   `json:"last_seen"`         // Unix milliseconds
	Revoked   bool    `json:"revoked,omitempty"` // its membership ended; the mesh refuses it

	Transport string `json:"transport,omitempty"` // of the connection: tcp, quic or relay; empty without one
	BytesIn   uint64 `json:"bytes_in"`            // block bytes received from it since this node's start
	BytesOut  uint64 `json:"bytes_out"`           // block bytes sent to it
}

// Policy says how an object is kept.
type Policy struct {
	Copies  uint8 `json:"copies"`   // distinct holders; 0 means DefaultCopies
	Until   int64 `json:"until"`    // Unix seconds; 0 means until removed
	Public  bool  `json:"public"`   // not sealed: equal content is one block everywhere
	MinAcks uint8 `json:"min_acks"` // receipts before a put is acknowledged; 0 means min(Copies, holders online)
}

// DefaultCopies is the number of durable copies when a policy names none.
const DefaultCopies = 3

// Object is a stored object as its owner's node lists it.
type Object struct {
	Link     Link    `json:"link"`
	Name     string  `json:"name"`
	Folder   bool    `json:"folder"`
	Files    uint64  `json:"files"`
	Bytes    uint64  `json:"bytes"` // plaintext
	Wire     uint64  `json:"wire"`  // bytes of its distinct blocks
	Blocks   uint64  `json:"blocks"`
	Copies   uint8   `json:"copies"`  // wanted
	Acks     uint8   `json:"acks"`    // the fewest distinct receipts any block had when acknowledged
	Created  int64   `json:"created"` // Unix milliseconds
	Until    int64   `json:"until"`   // Unix seconds; 0 until removed
	Paid     Credits `json:"paid"`    // for storage so far
	MimeType string  `json:"mime_type,omitempty"`
	Method   string  `json:"method,omitempty"` // the module/unit.method whose output it is; empty when it was put
}
