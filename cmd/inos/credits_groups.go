package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"inos/client"
	"inos/kernel/api"
)

// maxGrouped bounds the entries that one listing adds up; older ones are left
// to --entries --before.
const maxGrouped = 20_000

// creditGroup adds up the entries of one cause between two accounts. All
// escrows count as one account: each lives for one job.
type creditGroup struct {
	Cause   api.Cause   `json:"cause"`
	From    string      `json:"from"`
	To      string      `json:"to"`
	Entries uint64      `json:"entries"`
	Amount  api.Credits `json:"amount"`
	Last    int64       `json:"last"` // Unix milliseconds
}

// groups sums entries up as they come, newest first.
type groups struct {
	names map[api.NodeID]string
	list  []*creditGroup // in the order of their newest entry
	at    map[groupKey]*creditGroup
	seen  int
}

type groupKey struct {
	cause    api.Cause
	from, to string
}

func (g *groups) add(e api.Entry) error {
	g.seen++
	key := groupKey{e.Cause, g.side(e.From), g.side(e.To)}
	if g.at == nil {
		g.at = map[groupKey]*creditGroup{}
	}
	row := g.at[key]
	if row == nil {
		row = &creditGroup{Cause: key.cause, From: key.from, To: key.to, Last: e.Time}
		g.at[key] = row
		g.list = append(g.list, row)
	}
	row.Entries++
	var err error
	row.Amount, err = row.Amount.Add(e.Amount)
	return err
}

// side names one account of an entry.
func (g *groups) side(acc api.Account) string {
	if acc.Kind == api.EscrowAccount {
		return "escrow"
	}
	return accountName(acc, g.names)
}

// sumUp reads entries from the newest and groups them. more is where the rest
// begins, 0 when it saw them all.
func sumUp(ctx context.Context, c *client.Client, f api.CreditsFilter, names map[api.NodeID]string) (g *groups, first api.CreditsReport, more uint64, err error) {
	g = &groups{names: names}
	f.Limit = api.MaxPage
	for page := 0; ; page++ {
		r, err := c.Credits(ctx, f)
		if err != nil {
			return nil, first, 0, err
		}
		if page == 0 {
			first = r
		}
		for _, e := range r.Entries {
			if err := g.add(e); err != nil {
				return nil, first, 0, err
			}
		}
		if r.Next == 0 || g.seen >= maxGrouped {
			return g, first, r.Next, nil
		}
		f.Before = r.Next
	}
}

func (a *app) groupTable(g *groups, more uint64) {
	if len(g.list) == 0 {
		return
	}
	_, _ = fmt.Fprintln(a.stdout)
	t := table{head: []string{"CAUSE", "FROM", "TO", "ENTRIES", "CREDITS", "LAST"}, right: map[int]bool{3: true, 4: true}}
	for _, row := range g.list {
		t.rows = append(t.rows, []string{
			row.Cause.String(), row.From, row.To, fmt.Sprint(row.Entries), row.Amount.String(), time.UnixMilli(row.Last).UTC().Format(time.DateTime),
		})
	}
	a.print(t)
	if more > 0 {
		a.note("of the newest %d entries; older ones: inos credits --entries --before %d", g.seen, more)
	}
	if slices.ContainsFunc(g.list, func(r *creditGroup) bool { return r.Entries > 1 }) {
		a.note("each by itself: inos credits --entries")
	}
}
