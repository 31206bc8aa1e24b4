package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) inviteCmd() *cobra.Command {
	var roles, ttl string
	var req api.InviteRequest
	cmd := &cobra.Command{
		Use: "invite", Short: "Make a one-time invite for another machine", Args: cobra.NoArgs,
		Long: `Make an invite and print it. It admits one node, once, before it expires; treat it as a secret
until then. Only the seed of the mesh, the node that founded it, can.`,
		Example: "  inos invite --name cedar\n  inos invite --ttl 1h --json",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if err := req.Roles.UnmarshalText([]byte(roles)); err != nil {
				return err
			}
			d, err := parseDuration(ttl)
			if err != nil {
				return err
			}
			req.TTL = int64(d / time.Second)
			inv, err := c.Invite(cmd.Context(), req)
			if err != nil {
				return err
			}
			if st, err := c.Status(cmd.Context()); err == nil && onlyLoopback(st.Addrs) {
				_, _ = fmt.Fprintf(a.stderr, "%s the invite works on this machine only: the node listens on loopback; restart it with --host 0.0.0.0 or an address of this machine\n",
					a.paint(a.errTTY, yellow, "warning:"))
			}
			return a.show(inv, func() {
				_, _ = fmt.Fprintln(a.stdout, inv.Text)
				a.note("works once, for %s, until %s; on the other machine: inos join INVITE", inviteFor(inv), time.Unix(inv.Expires, 0).Local().Format(time.DateTime))
			})
		}),
	}
	cmd.Flags().StringVar(&roles, "roles", "hub", "roles of the node that joins: seed, hub or edge, joined with +")
	cmd.Flags().StringVar(&ttl, "ttl", "24h", "how long the invite works, at most 30d")
	cmd.Flags().StringVar(&req.Name, "name", "", "name of the node that joins (default what the node itself is called)")
	return cmd
}

// inviteFor says whom an invite admits.
func inviteFor(inv api.Invite) string {
	if inv.Name == "" {
		return "a " + inv.Roles.String() + " that chooses its own name"
	}
	return "a " + inv.Roles.String() + " that will be called " + inv.Name
}

// onlyLoopback says whether every multiaddr is of this machine alone.
func onlyLoopback(addrs []string) bool {
	for _, s := range addrs {
		parts := strings.Split(s, "/") // "", protocol, host, ...
		if len(parts) < 3 {
			return false
		}
		if ip, err := netip.ParseAddr(parts[2]); parts[2] != "localhost" && (err != nil || !ip.IsLoopback()) {
			return false
		}
	}
	return len(addrs) > 0
}
