package node

import (
	"errors"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/identity"
)

// tabConfig is a tab's node in a folder of its own.
func tabConfig(t *testing.T) Config {
	return Config{Dir: "test-" + strings.ToLower(t.Name()), ArenaBytes: 32 << 20, Log: func(format string, args ...any) { t.Logf(format, args...) }}
}

// A tab founds no mesh: it keeps its identity and waits.
func TestATabWaitsForAnInvite(t *testing.T) {
	cfg := tabConfig(t)
	if _, err := Identity(t.Context(), cfg); api.KindOf(err) != api.NotFound {
		t.Fatalf("an identity before the first start: %v", err)
	}
	for range 2 {
		if _, err := Start(t.Context(), cfg); !errors.Is(err, ErrNoMesh) {
			t.Fatalf("started without an invite: %v", err)
		}
	}
	id, err := Identity(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), cfg); !errors.Is(err, ErrNoMesh) {
		t.Fatal(err)
	}
	if again, err := Identity(t.Context(), cfg); err != nil || again.ID() != id.ID() {
		t.Errorf("the identity changed from %s to %s: %v", id.ID(), again.ID(), err)
	}
	if _, err := Join(t.Context(), cfg, "inos-invite:nonsense"); api.KindOf(err) != api.Invalid {
		t.Errorf("joined by nonsense: %v", err)
	}
}

// An imported identity replaces the tab's own while it is in no mesh, and not
// afterwards; leaving makes room again.
func TestATabTakesAnotherIdentityOutsideAMesh(t *testing.T) {
	cfg := tabConfig(t)
	other := identity.NewFromSeed([identity.SeedSize]byte{1, 2, 3})
	if _, err := Start(t.Context(), cfg); !errors.Is(err, ErrNoMesh) {
		t.Fatal(err)
	}
	if err := ImportIdentity(t.Context(), cfg, identity.FormatSecretFile(other)); err != nil {
		t.Fatal(err)
	}
	if id, err := Identity(t.Context(), cfg); err != nil || id.ID() != other.ID() {
		t.Fatalf("the identity is %s: %v", id.ID(), err)
	}
	member := func(meta records) error { return meta.Set(keyMembership, []byte("a membership")) }
	if err := withRecords(t.Context(), cfg, member); err != nil {
		t.Fatal(err)
	}
	third := identity.FormatSecret(identity.NewFromSeed([identity.SeedSize]byte{9}))
	if err := ImportIdentity(t.Context(), cfg, third); api.KindOf(err) != api.Exists {
		t.Errorf("a member's identity was replaced: %v", err)
	}
	if err := Leave(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := ImportIdentity(t.Context(), cfg, third); err != nil {
		t.Error(err)
	}
	if err := ImportIdentity(t.Context(), cfg, "inos-identity:short"); api.KindOf(err) != api.Invalid {
		t.Errorf("nonsense was imported: %v", err)
	}
}

// A tab reaches no servers and keeps no ledger, and says what does.
func TestWhatATabCannotDoItSays(t *testing.T) {
	if _, err := openHTTP(SyscallConfig{HTTPOrigins: []string{"https://example.org"}}); api.KindOf(err) != api.Unsupported {
		t.Error(err)
	}
	if _, err := openLedger(Config{}, api.NodeID{}); api.KindOf(err) != api.Unsupported {
		t.Error(err)
	}
	if err := CheckEngine("wazero"); api.KindOf(err) != api.Invalid {
		t.Error(err)
	}
}
