package api

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// Hash is a BLAKE3-256 digest. Its text form is 64 lower-case hex digits.
type Hash [32]byte

// String returns the hex form.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Short returns the first 8 hex digits, for tables.
func (h Hash) Short() string { return h.String()[:8] }

// IsZero reports whether h is all zero, which no digest in use is.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText and UnmarshalText use the hex form.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText parses the hex form.
func (h *Hash) UnmarshalText(b []byte) error {
	v, err := ParseHash(string(b))
	if err == nil {
		*h = v
	}
	return err
}

// ParseHash reads the 64-digit hex form.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != 2*len(h) {
		return h, Errorf("api.parsehash", Invalid, "a hash has 64 hex digits")
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, Errorf("api.parsehash", Invalid, "a hash has only the digits 0-9 and a-f")
	}
	return h, nil
}

// Address names a block: the BLAKE3-256 of the block's wire bytes. Its text
// form is a CIDv1 (multibase base32, raw codec 0x55, multihash blake3 0x1e), so
// other content-addressed tools can read it.
//
// Source: https://github.com/multiformats/cid and /multihash.
type Address Hash

// cidPrefix is CID version 1, codec raw, multihash blake3, length 32.
var cidPrefix = [4]byte{0x01, 0x55, 0x1e, 0x20}

var cidBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// String returns the CIDv1 form, 59 characters beginning with "bafkr4i".
func (a Address) String() string {
	raw := make([]byte, 0, len(cidPrefix)+len(a))
	raw = append(append(raw, cidPrefix[:]...), a[:]...)
	return "b" + cidBase32.EncodeToString(raw)
}

// Short returns the last 8 characters of the CID, for tables (the first are
// the same for every address).
func (a Address) Short() string { s := a.String(); return s[len(s)-8:] }

// IsZero reports whether a is all zero, which no block's address is.
func (a Address) IsZero() bool { return a == Address{} }

// MarshalText returns the CIDv1 form.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText parses the CIDv1 form.
func (a *Address) UnmarshalText(b []byte) error {
	v, err := ParseAddress(string(b))
	if err == nil {
		*a = v
	}
	return err
}

// ParseAddress reads the CIDv1 form and refuses any other codec, hash or
// length, and any non-canonical spelling.
func ParseAddress(s string) (Address, error) {
	const op = "api.parseaddress"
	var a Address
	if !strings.HasPrefix(s, "b") {
		return a, Errorf(op, Invalid, "an address starts with b (base32)")
	}
	raw, err := cidBase32.DecodeString(s[1:])
	if err != nil {
		return a, Errorf(op, Invalid, "an address is lower-case base32")
	}
	if len(raw) != len(cidPrefix)+len(a) || [4]byte(raw[:4]) != cidPrefix {
		return a, Errorf(op, Invalid, "an address is a CIDv1 of a raw block with a BLAKE3-256 hash")
	}
	copy(a[:], raw[4:])
	if a.String() != s {
		return Address{}, Errorf(op, Invalid, "an address has one spelling; this is another")
	}
	return a, nil
}

// NodeID is a node's Ed25519 public key. Its text form is a did:key.
//
// Source: W3C CCG, "The did:key Method", section on Ed25519.
type NodeID [32]byte

const didPrefix = "did:key:z"

// String returns the did:key form.
func (n NodeID) String() string {
	return didPrefix + base58Encode(append([]byte{0xed, 0x01}, n[:]...))
}

// Short returns the last 8 characters of the did:key, for tables.
func (n NodeID) Short() string { s := n.String(); return s[len(s)-8:] }

// IsZero reports whether n is unset.
func (n NodeID) IsZero() bool { return n == NodeID{} }

// MarshalText returns the did:key form, or "" for the zero id.
func (n NodeID) MarshalText() ([]byte, error) {
	if n.IsZero() {
		return nil, nil
	}
	return []byte(n.String()), nil
}

// UnmarshalText parses the did:key form; the empty text is the zero id.
func (n *NodeID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*n = NodeID{}
		return nil
	}
	v, err := ParseNodeID(string(b))
	if err == nil {
		*n = v
	}
	return err
}

// ParseNodeID reads the did:key form of an Ed25519 key.
func ParseNodeID(s string) (NodeID, error) {
	const op = "api.parsenodeid"
	var n NodeID
	if !strings.HasPrefix(s, didPrefix) {
		return n, Errorf(op, Invalid, "a node id starts with "+didPrefix)
	}
	raw, ok := base58Decode(s[len(didPrefix):])
	if !ok || len(raw) != 34 || raw[0] != 0xed || raw[1] != 0x01 {
		return n, Errorf(op, Invalid, "a node id is the did:key of an Ed25519 key")
	}
	copy(n[:], raw[2:])
	return n, nil
}

// ID is a random 128-bit identifier of a job, a put, an invite or an escrow.
// Its text form is 32 lower-case hex digits.
type ID [16]byte

// NewID draws an ID from r's 16 bytes. Hosts pass crypto/rand; simulations pass
// a seeded source.
func NewID(random [16]byte) ID { return ID(random) }

// RandomID draws an ID from the operating system. The pure core does not call
// it: it receives ids in its events.
func RandomID() ID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails; it ends the process instead
	return ID(b)
}

// String returns the hex form.
func (i ID) String() string { return hex.EncodeToString(i[:]) }

// Short returns the first 8 hex digits.
func (i ID) Short() string { return i.String()[:8] }

// IsZero reports whether i is unset.
func (i ID) IsZero() bool { return i == ID{} }

// MarshalText returns the hex form.
func (i ID) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// UnmarshalText parses the hex form.
func (i *ID) UnmarshalText(b []byte) error {
	v, err := ParseID(string(b))
	if err == nil {
		*i = v
	}
	return err
}

// ParseID reads the 32-digit hex form.
func ParseID(s string) (ID, error) {
	var i ID
	if len(s) != 2*len(i) {
		return i, Errorf("api.parseid", Invalid, "an id has 32 hex digits")
	}
	if _, err := hex.Decode(i[:], []byte(s)); err != nil {
		return ID{}, Errorf("api.parseid", Invalid, "an id has only the digits 0-9 and a-f")
	}
	return i, nil
}
