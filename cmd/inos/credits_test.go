package main

import (
	"encoding/json"
	"testing"

	"inos/kernel/api"
)

// TestGroupsAddUp: the same cause between the same accounts is one row, and
// every escrow is the same account.
func TestGroupsAddUp(t *testing.T) {
	node := func(i byte) api.Account { return api.Account{Kind: api.NodeAccount, Node: api.NodeID{i}} }
	escrow := func(i byte) api.Account { return api.Account{Kind: api.EscrowAccount, ID: api.ID{i}} }
	g := &groups{names: map[api.NodeID]string{{1}: "alder", {2}: "birch"}}
	for _, e := range []api.Entry{
		{Time: 9, From: node(1), To: node(2), Amount: 5, Cause: api.CauseServe},
		{Time: 8, From: escrow(1), To: node(2), Amount: 7, Cause: api.CauseSettle},
		{Time: 7, From: escrow(2), To: node(2), Amount: 8, Cause: api.CauseSettle},
		{Time: 6, From: node(1), To: node(2), Amount: 6, Cause: api.CauseServe},
		{Time: 5, From: node(1), To: node(2), Amount: 1, Cause: api.CauseStorage},
		{Time: 4, From: node(2), To: node(1), Amount: 2, Cause: api.CauseServe},
	} {
		if err := g.add(e); err != nil {
			t.Fatal(err)
		}
	}
	want := []creditGroup{
		{api.CauseServe, "alder", "birch", 2, 11, 9},
		{api.CauseSettle, "escrow", "birch", 2, 15, 8},
		{api.CauseStorage, "alder", "birch", 1, 1, 5},
		{api.CauseServe, "birch", "alder", 1, 2, 4},
	}
	if len(g.list) != len(want) || g.seen != 6 {
		t.Fatalf("%d groups of %d entries", len(g.list), g.seen)
	}
	for i, w := range want {
		if *g.list[i] != w {
			t.Errorf("%+v, want %+v", *g.list[i], w)
		}
	}
}

func TestCreditsByEntry(t *testing.T) {
	c := newCLI(t)
	var grouped, each struct {
		Groups  []creditGroup
		Entries []api.Entry
	}
	if err := json.Unmarshal([]byte(c.ok("credits", "--json")), &grouped); err != nil || len(grouped.Groups) != 1 {
		t.Error(grouped, err)
	}
	for _, args := range [][]string{{"--entries"}, {"--limit", "5"}, {"--ref", "x"}} {
		each.Groups = nil
		if err := json.Unmarshal([]byte(c.ok(append([]string{"credits", "--json"}, args...)...)), &each); err != nil || len(each.Groups) > 0 || len(each.Entries) != 1 {
			t.Error(args, each, err)
		}
	}
}

func TestBalanceThatIsNotKnown(t *testing.T) {
	if got := balanceText(api.Status{BalanceError: "the seed is away"}); got != "unknown: the seed is away" {
		t.Errorf("%q", got)
	}
	if got := balanceText(api.Status{}); got != "0 credits" {
		t.Errorf("%q", got)
	}
}

func TestLimitsThatAreLeftToTheNode(t *testing.T) {
	if got := moduleLimits(api.Limits{MemoryBytes: 1 << 28}); got != "memory 256 MiB" {
		t.Errorf("%q", got)
	}
}
