package identity

import (
	"crypto/ed25519"
	"encoding/hex"
	"testing"

	"inos/kernel/api"
)

func seeded(b byte) Identity { return NewFromSeed([32]byte{b}) }

// TestDerivedKeysGolden pins every derived key: a change would orphan files,
// links and meshes made before.
func TestDerivedKeysGolden(t *testing.T) {
	i := seeded(7)
	id, root := i.ID(), i.MeshRoot().ID()
	for _, c := range []struct {
		name string
		got  [32]byte
		want string
	}{
		{"id", id, "a2fa2f4a355ba2e907a53009e9e37caddf7ac7e66a08ba07631f553072b3f24c"},
		{"root", root, "504936934ee29662ec2e842e924ae331db24463425614bc2d9757b710759aa86"},
		{"namespace", i.NamespaceKey(), "e6a57538fb22ddc0d436c6c9b67da47642d3150ed7da47a6e508ffcb54ce82e7"},
		{"output", i.OutputKey(api.ID{1, 2}), "10dca60ff9fe90b4cf477b12680e89de97efe5f02b791e4cae69f9e8454d767f"},
		{"at-rest", i.AtRestKey(), "15252c5523d4d368ffe70105879fa17e3d654683ed37b461b8c0c8a37afc7755"},
	} {
		if got := hex.EncodeToString(c.got[:]); got != c.want {
			t.Errorf("%s = %s, want %s", c.name, got, c.want)
		}
	}
	if i.OutputKey(api.ID{1}) == i.OutputKey(api.ID{2}) {
		t.Error("two jobs have one output key")
	}
}

func TestSignaturesAreForOnePurpose(t *testing.T) {
	i := seeded(1)
	sig := i.Sign("inos/a/v1", []byte("message"))
	if !Verify(i.ID(), "inos/a/v1", []byte("message"), sig) {
		t.Error("a good signature does not verify")
	}
	bad := sig
	bad[63] ^= 1
	for name, ok := range map[string]bool{
		"other domain":  Verify(i.ID(), "inos/b/v1", []byte("message"), sig),
		"moved border":  Verify(i.ID(), "inos/a/v1m", []byte("essage"), sig),
		"other message": Verify(i.ID(), "inos/a/v1", []byte("messagf"), sig),
		"other key":     Verify(seeded(2).ID(), "inos/a/v1", []byte("message"), sig),
		"bent":          Verify(i.ID(), "inos/a/v1", []byte("message"), bad),
		"zero key":      Verify(api.NodeID{}, "inos/a/v1", []byte("message"), sig),
	} {
		if ok {
			t.Errorf("%s verifies", name)
		}
	}
}

// TestSmallOrderKeysForge shows why keys of small order are refused: one fixed
// signature verifies under them for many messages.
func TestSmallOrderKeysForge(t *testing.T) {
	var sig [64]byte
	sig[0] = 1 // R is the identity, S is zero
	forged := 0
	for _, p := range smallOrderPoints {
		for _, sign := range []byte{0, 0x80} {
			key := p
			key[31] |= sign
			for m := range 64 {
				msg := []byte{byte(m)}
				if ed25519.Verify(key[:], signed("d", msg), sig[:]) {
					forged++
				}
				if Verify(key, "d", msg, sig) {
					t.Fatalf("key %x verifies a forgery", key)
				}
			}
		}
	}
	if forged == 0 {
		t.Error("no forgery was possible: the list of points is wrong")
	}
}

func TestRecordsVerifyAndBend(t *testing.T) {
	i, root := seeded(1), seeded(1).MeshRoot()
	const now = 1000
	m := SignMembership(root, api.Membership{Node: i.ID(), Roles: api.Hub, Name: "a", Issued: now, Expires: now + 10})
	r := SignRevocation(root, api.Revocation{Node: i.ID(), Time: now})
	c := SignCapability(i, api.Capability{Seq: 1, Name: "a", Addrs: []string{"/ip4/127.0.0.1/tcp/1"}, Free: 9})
	rc := SignReceipt(i, api.Receipt{Count: 1, Bytes: 2, Time: 3})
	for name, err := range map[string]error{
		"membership": VerifyMembership(m, now), "revocation": VerifyRevocation(r), "capability": VerifyCapability(c),
		"receipt": VerifyReceipt(rc),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m2, r2, c2, rc2 := m, r, c, rc
	m2.Roles |= api.Seed
	r2.Node[0]++
	c2.Addrs = []string{"/ip4/127.0.0.1/tcp/2"}
	rc2.Bytes++
	for name, err := range map[string]error{
		"membership": VerifyMembership(m2, now), "revocation": VerifyRevocation(r2), "capability": VerifyCapability(c2),
		"receipt": VerifyReceipt(rc2),
		"expired": VerifyMembership(m, now+10),
	} {
		if api.KindOf(err) != api.Unverified {
			t.Errorf("bent %s: %v, want unverified", name, err)
		}
	}
}

func TestBatchDigestIgnoresOrder(t *testing.T) {
	a, b, c := api.Address{1}, api.Address{2}, api.Address{3}
	list := []api.Address{c, a, b}
	if BatchDigest(list) != BatchDigest([]api.Address{a, b, c}) {
		t.Error("the order of a batch changes its digest")
	}
	if list[0] != c {
		t.Error("BatchDigest sorted its argument")
	}
	if BatchDigest([]api.Address{a, b}) == BatchDigest([]api.Address{a, c}) {
		t.Error("two batches have one digest")
	}
}

func BenchmarkVerifyReceipt(b *testing.B) {
	r := SignReceipt(seeded(1), api.Receipt{Count: 1})
	for b.Loop() {
		if VerifyReceipt(r) != nil {
			b.Fatal("refused")
		}
	}
}
