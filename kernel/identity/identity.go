package identity

import (
	"crypto/ed25519"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// SeedSize is the length of the secret that an identity derives from, bytes.
const SeedSize = 32

// The contexts of derived keys. Changing one changes every key below it: links,
// addresses and files made before would not open.
const (
	contextMeshRoot  = "inos 2026-11 mesh root v1"
	contextNamespace = "inos 2026-11 namespace key v1"
	contextOutput    = "inos 2026-11 job output key v1"
	contextAtRest    = "inos 2026-11 at-rest key v1"
	contextInvite    = "inos 2026-11 invite secret v1"
	contextProof     = "inos 2026-11 invite proof v1"
)

// Identity is a node's or a mesh root's key pair. The zero value signs nothing:
// make one with NewFromSeed. Copies share the key; it is safe for concurrent
// use.
type Identity struct {
	seed [SeedSize]byte
	priv ed25519.PrivateKey
	id   api.NodeID
}

// NewFromSeed makes the identity of a secret seed. The same seed always gives
// the same identity.
func NewFromSeed(seed [SeedSize]byte) Identity {
	priv := ed25519.NewKeyFromSeed(seed[:])
	return Identity{seed: seed, priv: priv, id: api.NodeID(priv.Public().(ed25519.PublicKey))}
}

// Seed returns the secret that i derives from, for whoever keeps it: a host's key
// file or a tab's store.
func (i Identity) Seed() [SeedSize]byte { return i.seed }

// ID returns the public key.
func (i Identity) ID() api.NodeID { return i.id }

// IsZero reports whether i was not made by NewFromSeed.
func (i Identity) IsZero() bool { return i.priv == nil }

// PrivateKey returns the 64-byte Ed25519 private key in crypto/ed25519's form,
// for a transport that authenticates with the same key. The caller must not
// change it.
func (i Identity) PrivateKey() ed25519.PrivateKey { return i.priv }

// Sign signs msg for one purpose, named by domain. Domains are constants of at
// most 64 bytes without a zero byte.
func (i Identity) Sign(domain string, msg []byte) [64]byte {
	return [64]byte(ed25519.Sign(i.priv, signed(domain, msg)))
}

// Verify reports whether node signed msg for the purpose named by domain.
func Verify(node api.NodeID, domain string, msg []byte, sig [64]byte) bool {
	if smallOrder(node) {
		return false
	}
	return ed25519.Verify(node[:], signed(domain, msg), sig[:])
}

// signed joins the domain and the message. The zero byte keeps them apart.
func signed(domain string, msg []byte) []byte {
	b := make([]byte, 0, len(domain)+1+len(msg))
	b = append(b, domain...)
	b = append(b, 0)
	return append(b, msg...)
}

// NamespaceKey seals this node's private objects: equal content stored twice by
// this node is one block, and tells nothing to anybody else.
func (i Identity) NamespaceKey() [32]byte { return i.derive(contextNamespace, nil) }

// OutputKey seals the output of one job that this node pays for. Every worker
// that runs the job receives it and so yields the same link.
func (i Identity) OutputKey(job api.ID) [32]byte { return i.derive(contextOutput, job[:]) }

// AtRestKey encrypts the node's own files.
func (i Identity) AtRestKey() [32]byte { return i.derive(contextAtRest, nil) }

// MeshRoot returns the root of the mesh that this node founds. It derives from
// the node's seed, so a founder keeps one secret; whoever has it is the mesh.
func (i Identity) MeshRoot() Identity { return NewFromSeed(i.derive(contextMeshRoot, nil)) }

// derive is BLAKE3's key derivation over the seed and an optional label.
func (i Identity) derive(context string, label []byte) (key [32]byte) {
	material := make([]byte, 0, SeedSize+16)
	material = append(append(material, i.seed[:]...), label...)
	blake3.DeriveKey(context, material, key[:])
	return key
}

// smallOrderPoints are the encodings of the points of order 1, 2, 4 and 8 on
// edwards25519, canonical or not, without the sign bit.
var smallOrderPoints = [...]api.NodeID{
	{},
	{0x01},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
	nearPrime(0xec), // p-1
	nearPrime(0xed), // p, which is 0
	nearPrime(0xee), // p+1, which is 1
}

// nearPrime is the little-endian encoding of 2^255-256+low.
func nearPrime(low byte) api.NodeID {
	var n api.NodeID
	for i := range n {
		n[i] = 0xff
	}
	n[0], n[31] = low, 0x7f
	return n
}

func smallOrder(n api.NodeID) bool {
	n[31] &= 0x7f
	for i := range smallOrderPoints {
		if n == smallOrderPoints[i] {
			return true
		}
	}
	return false
}
