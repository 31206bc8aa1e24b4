//go:build !js

package node

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/identity"
)

// TestTabsAreListenedForWhenExpected follows a mesh from one without tabs to one
// with: nothing listens for them until an edge is invited, then every node does.
func TestTabsAreListenedForWhenExpected(t *testing.T) {
	nodes := startMesh(t, 2)
	seed, other := nodes[0], nodes[1]
	if seed.tabsOpen.Load() || len(seed.net.TabAddrs()) != 0 {
		t.Fatal("listening for tabs that nobody expects")
	}
	sources := seed.TabSources() // known before anything listens
	if len(sources) != 4 || !strings.HasPrefix(sources[0], "ws://127.0.0.1:") || !strings.HasPrefix(sources[1], "https://127.0.0.1:") {
		t.Fatal(sources)
	}
	inv, err := seed.Invite(t.Context(), api.InviteRequest{Roles: api.Edge})
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.ParseInvite(inv.Text)
	if err != nil || !slices.ContainsFunc(token.Addrs, func(a string) bool { return strings.Contains(a, "/webtransport/") }) {
		t.Fatal("the invite names no address for a tab", token.Addrs, err)
	}
	if other.tabsOpen.Load() {
		t.Fatal("the other node expects no tab yet")
	}
	cfg := Config{Dir: filepath.Join(t.TempDir(), "e"), Name: "e"}
	if _, err := Join(t.Context(), cfg, inv.Text); err != nil {
		t.Fatal(err)
	}
	edge := start(t, cfg)
	waitOnline(t, seed, other, edge)
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, err := edge.Tabs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Nodes) == 2 { // itself is an edge, and no place for a tab
			for _, n := range got.Nodes {
				if len(n.Addrs) != 3 || !strings.Contains(n.Addrs[0], "/certhash/") || !strings.Contains(n.Addrs[1], "/ws/") {
					t.Fatal(n)
				}
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("not every node listens for tabs:", got)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestTabsOnAndOff(t *testing.T) {
	on := start(t, Config{Dir: t.TempDir(), Name: "on", Tabs: TabsOn})
	if len(on.net.TabAddrs()) != 3 {
		t.Fatal(on.net.Addrs())
	}
	off := start(t, Config{Dir: t.TempDir(), Name: "off", Tabs: TabsOff})
	if _, err := off.Tabs(t.Context()); !errors.Is(err, api.Denied) || len(off.TabSources()) != 0 {
		t.Fatal(err)
	}
	if _, err := off.Invite(t.Context(), api.InviteRequest{Roles: api.Edge}); err != nil || len(off.net.TabAddrs()) != 0 {
		t.Fatal(err, off.net.TabAddrs())
	}
	if _, err := Start(t.Context(), Config{Dir: t.TempDir(), Name: "bad", Tabs: "maybe"}); !errors.Is(err, api.Invalid) {
		t.Fatal(err)
	}
}
