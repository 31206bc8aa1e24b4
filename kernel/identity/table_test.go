package identity

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"inos/kernel/api"
)

func member(root Identity, b byte, name string, issued, expires int64) api.Membership {
	return SignMembership(root, api.Membership{Node: seeded(b).ID(), Roles: api.Hub, Name: name, Issued: issued, Expires: expires})
}

func TestTableAllows(t *testing.T) {
	root := seeded(0).MeshRoot()
	table := NewMemberTable(root.ID())
	for _, m := range []api.Membership{member(root, 1, "one", 10, 0), member(root, 2, "two", 10, 20)} {
		if changed, err := table.Merge(m, 15); !changed || err != nil {
			t.Fatalf("merge: %v, %v", changed, err)
		}
	}
	if changed, err := table.Merge(member(root, 1, "one", 10, 0), 15); changed || err != nil {
		t.Errorf("merging again: %v, %v", changed, err)
	}
	if _, err := table.Merge(member(seeded(9), 3, "three", 10, 0), 15); api.KindOf(err) != api.Unverified {
		t.Errorf("a membership of another mesh: %v", err)
	}
	forged := member(root, 3, "three", 10, 0)
	forged.Roles = api.Seed
	if _, err := table.Merge(forged, 15); api.KindOf(err) != api.Unverified {
		t.Errorf("a forged membership: %v", err)
	}
	if _, err := table.Revoke(SignRevocation(seeded(9), api.Revocation{Node: seeded(1).ID()})); api.KindOf(err) != api.Unverified {
		t.Errorf("a foreign revocation: %v", err)
	}
	if _, err := table.Revoke(SignRevocation(root, api.Revocation{Node: seeded(1).ID(), Time: 99})); err != nil {
		t.Fatal(err)
	}
	for b, want := range map[byte]api.Kind{1: api.Denied, 3: api.NotFound} {
		if err := table.Allowed(seeded(b).ID(), 15); api.KindOf(err) != want {
			t.Errorf("node %d: %v, want %v", b, err, want)
		}
	}
	if err := table.Allowed(seeded(2).ID(), 19); err != nil {
		t.Errorf("node 2 before it expires: %v", err)
	}
	if err := table.Allowed(seeded(2).ID(), 20); api.KindOf(err) != api.Unverified {
		t.Errorf("node 2 after it expired: %v", err)
	}
}

func TestTableKeepsTheEarlierName(t *testing.T) {
	root := seeded(0).MeshRoot()
	first, second := member(root, 1, "same", 10, 0), member(root, 2, "same", 11, 0)
	for _, order := range [][]api.Membership{{first, second}, {second, first}} {
		table := NewMemberTable(root.ID())
		for _, m := range order {
			if _, err := table.Merge(m, 15); err != nil {
				t.Fatal(err)
			}
		}
		if m, ok := table.ByName("same"); !ok || m.Node != first.Node {
			t.Errorf("the name belongs to %s, want %s", m.Node.Short(), first.Node.Short())
		}
		if _, err := table.Merge(member(root, 1, "other", 12, 0), 15); err != nil {
			t.Fatal(err)
		}
		if m, ok := table.ByName("same"); !ok || m.Node != second.Node {
			t.Error("a name that was given up does not pass on")
		}
	}
}

func TestTableIsBounded(t *testing.T) {
	root := seeded(0).MeshRoot()
	table := NewMemberTable(root.ID())
	table.members = make(map[api.NodeID]api.Membership, api.MaxMembers)
	for i := range api.MaxMembers {
		var n api.NodeID
		binary.LittleEndian.PutUint64(n[:], uint64(i)+1)
		table.members[n] = api.Membership{Mesh: root.ID(), Node: n, Name: "x"}
	}
	if _, err := table.Merge(member(root, 1, "one", 1, 0), 5); api.KindOf(err) != api.Exhausted {
		t.Errorf("a full table: %v", err)
	}
	var n api.NodeID
	n[0] = 1
	table.members[n] = api.Membership{Mesh: root.ID(), Node: n, Name: "x", Expires: 4}
	if _, err := table.Merge(member(root, 1, "one", 1, 0), 5); err != nil {
		t.Errorf("a table with an expired member: %v", err)
	}
}

// TestTablesConverge merges the same records in any order.
func TestTablesConverge(t *testing.T) {
	root := seeded(0).MeshRoot()
	var records []any
	for i := range byte(5) {
		for v := range int64(3) {
			records = append(records, member(root, i+1, string('a'+rune(i+byte(v))%4), 10+v, 0))
		}
		records = append(records, SignRevocation(root, api.Revocation{Node: seeded(i + 1).ID(), Time: int64(i)}))
	}
	rapid.Check(t, func(t *rapid.T) {
		tables := [2]*MemberTable{NewMemberTable(root.ID()), NewMemberTable(root.ID())}
		for _, table := range tables {
			for _, r := range rapid.Permutation(records).Draw(t, "order") {
				switch r := r.(type) {
				case api.Membership:
					_, _ = table.Merge(r, 15)
				case api.Revocation:
					_, _ = table.Revoke(r)
				}
			}
		}
		if tables[0].Digest() != tables[1].Digest() {
			t.Fatal("two tables with the same records differ")
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			x, _ := tables[0].ByName(name)
			y, _ := tables[1].ByName(name)
			if x != y {
				t.Fatalf("two tables disagree who has the name %s", name)
			}
		}
	})
}
