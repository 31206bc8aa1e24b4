package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) peersCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "peers", Short: "List the members of the mesh", Args: cobra.NoArgs,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			peers, err := c.Peers(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(peers, func() { a.peerTable(peers) })
		}),
	}
	cmd.AddCommand(&cobra.Command{
		Use: "revoke NODE", Short: "End a member's membership for good", Args: cobra.ExactArgs(1),
		Long: `End a member's membership, named by name or id. The mesh refuses it from now on, and it cannot come
back under the same key; what it kept is copied to other nodes. Only the seed can.`,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if err := c.Revoke(cmd.Context(), args[0]); err != nil {
				return err
			}
			a.note("%s is no longer a member; what it kept is copied to others", printable(args[0]))
			if a.json {
				return a.line(map[string]any{"revoked": args[0]})
			}
			return nil
		}),
	})
	return cmd
}

func (a *app) peerTable(peers []api.Peer) {
	t := table{
		head:  []string{"NAME", "STATE", "ROLES", "DOMAIN", "RTT", "USED", "FREE", "JOBS", "CR/GIB-MONTH", "CR/GGAS", "SEEN", "NODE"},
		right: map[int]bool{4: true, 5: true, 6: true, 7: true, 8: true, 9: true},
	}
	for _, p := range peers {
		if p.Revoked {
			t.rows = append(t.rows, []string{dash(p.Name), peerState(p), p.Roles.String(), "-", "-", "-", "-", "-", "-", "-", a.ago(p.LastSeen), p.Node.String()})
			continue
		}
		rtt := "-"
		if p.LatencyMS > 0 {
			rtt = fmt.Sprintf("%.1f ms", p.LatencyMS)
		}
		t.rows = append(t.rows, []string{
			printable(p.Name), peerState(p), p.Roles.String(), dash(p.Domain), rtt, bytesText(p.Used), bytesText(p.Free),
			fmt.Sprintf("%d/%d", p.Queue, p.Workers), p.Prices.StorageGiBMonth.String(), p.Prices.ComputeGgas.String(), a.ago(p.LastSeen), p.Node.String(),
		})
	}
	t.tint = func(row, col int) colour {
		switch {
		case col != 1:
			return ""
		case peers[row].Revoked:
			return red
		case peers[row].Online || peers[row].Self:
			return green
		}
		return yellow
	}
	a.print(t)
}

// peerState is what a row says about a member.
func peerState(p api.Peer) string {
	if p.Revoked {
		return "revoked"
	}
	return onlineText(p.Online, p.Self)
}
