package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) creditsCmd() *cobra.Command {
	var f api.CreditsFilter
	var entries bool
	cmd := &cobra.Command{
		Use: "credits", Short: "Show balances and what moved them", Args: cobra.NoArgs,
		Long: `Show every account's balance, and what moved credits: added up by cause and by who paid whom, or
one by one, newest first, with --entries. --ref, --before and --limit list entries too.

Causes: genesis (the supply), grant (to a new member), escrow, settle and refund (around a job),
storage (bytes kept), serve (bytes read from a node) and transfer (by hand).`,
		Example: "  inos credits\n  inos credits --cause serve\n  inos credits --entries --account cedar --limit 50",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			ids := names(cmd.Context(), c)
			for _, name := range []string{"ref", "before", "limit"} {
				entries = entries || cmd.Flags().Changed(name)
			}
			if entries {
				r, err := c.Credits(cmd.Context(), f)
				if err != nil {
					return err
				}
				return a.show(r, func() { a.balanceTable(r, ids); a.entryTable(r, ids) })
			}
			g, r, more, err := sumUp(cmd.Context(), c, f, ids)
			if err != nil {
				return err
			}
			r.Entries = r.Entries[:min(len(r.Entries), f.Limit)]
			return a.show(struct {
				api.CreditsReport
				Groups []*creditGroup `json:"groups"`
			}{r, g.list}, func() { a.balanceTable(r, ids); a.groupTable(g, more) })
		}),
	}
	cmd.Flags().BoolVar(&entries, "entries", false, "list entries one by one instead of adding them up")
	cmd.Flags().StringVar(&f.Account, "account", "", "only entries of this account: treasury, a node's name or id, or escrow:ID")
	cmd.Flags().StringVar(&f.Cause, "cause", "", "only genesis, grant, escrow, settle, refund, storage, serve or transfer")
	cmd.Flags().StringVar(&f.Ref, "ref", "", "only entries about this job or object")
	cmd.Flags().Uint64Var(&f.Before, "before", 0, "only entries before this number")
	cmd.Flags().IntVar(&f.Limit, "limit", 20, "most entries to list, at most 1000")
	cmd.AddCommand(a.transferCmd())
	return cmd
}

func (a *app) balanceTable(r api.CreditsReport, ids map[api.NodeID]string) {
	t := table{head: []string{"ACCOUNT", "CREDITS"}, right: map[int]bool{1: true}}
	for _, b := range r.Balances {
		name := accountName(b.Account, ids)
		if b.Name != "" {
			name = printable(b.Name)
		}
		t.rows = append(t.rows, []string{name, b.Amount.String()})
	}
	t.rows = append(t.rows, []string{"total", r.Total.String()})
	a.print(t)
	if r.Total != r.Genesis {
		_, _ = fmt.Fprintf(a.stdout, "%s the total differs from the genesis supply of %s\n", a.paint(a.outTTY, red, "warning:"), r.Genesis)
	}
}

func (a *app) entryTable(r api.CreditsReport, ids map[api.NodeID]string) {
	if len(r.Entries) == 0 {
		return
	}
	_, _ = fmt.Fprintln(a.stdout)
	e := table{head: []string{"NO", "TIME", "CAUSE", "FROM", "TO", "CREDITS", "ABOUT"}, right: map[int]bool{0: true, 5: true}}
	for _, x := range r.Entries {
		e.rows = append(e.rows, []string{
			strconv.FormatUint(x.Seq, 10), time.UnixMilli(x.Time).UTC().Format(time.DateTime), x.Cause.String(),
			accountName(x.From, ids), accountName(x.To, ids), x.Amount.String(), dash(x.Ref),
		})
	}
	a.print(e)
	if r.Next > 0 {
		a.note("older entries: inos credits --before %d", r.Next)
	}
}

func accountName(acc api.Account, ids map[api.NodeID]string) string {
	switch acc.Kind {
	case api.NodeAccount:
		return printable(nodeName(ids, acc.Node))
	case api.EscrowAccount:
		if acc.ID.IsZero() {
			return "in escrow" // all of them together
		}
		return "escrow " + acc.ID.Short()
	}
	return acc.String()
}

func (a *app) transferCmd() *cobra.Command {
	var memo string
	cmd := &cobra.Command{
		Use: "transfer NODE AMOUNT", Short: "Move credits from this node's account to another's", Args: cobra.ExactArgs(2),
		Example: "  inos credits transfer cedar 12.5 --memo \"for the render\"",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			amount, err := api.ParseCredits(args[1])
			if err != nil {
				return err
			}
			e, err := c.Transfer(cmd.Context(), api.TransferRequest{ID: api.RandomID(), To: args[0], Amount: amount, Memo: memo})
			if err != nil {
				return err
			}
			return a.show(e, func() {
				_, _ = fmt.Fprintf(a.stdout, "moved %s credits to %s, entry %d\n", e.Amount, printable(args[0]), e.Seq)
			})
		}),
	}
	cmd.Flags().StringVar(&memo, "memo", "", "what it is for, at most 128 bytes")
	return cmd
}
