package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) statusCmd() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how the node is", Args: cobra.NoArgs,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			st, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(st, func() { a.statusText(st) })
		}),
	}
}

func (a *app) statusText(st api.Status) {
	state := "ready"
	if !st.Ready {
		state = "starting"
	}
	if st.Refused != "" {
		state = "refused by the mesh"
	}
	objects := count(st.Objects, "object")
	if st.UnderCopied > 0 {
		objects += fmt.Sprintf("; %s below the copies wanted", count(st.UnderCopied, "block"))
	}
	store := fmt.Sprintf("%s in %s, %s free", bytesText(st.Store.Bytes), count(st.Store.Blocks, "block"), bytesText(st.Store.Free))
	if st.Store.Quarantined > 0 {
		store += fmt.Sprintf(", %s damaged: see inos doctor", count(st.Store.Quarantined, "block"))
	}
	a.fields(
		"node", fmt.Sprintf("%s, %s, %s, up %s", printable(st.Name), st.Roles, state, durationText(time.Duration(st.UptimeSeconds*float64(time.Second)))),
		"id", st.Node.String(),
		"mesh", st.Mesh.String(),
		"refused", printable(st.Refused),
		"peers", fmt.Sprintf("%d of %d online", st.PeersOnline, st.PeersKnown),
		"owns", objects,
		"store", store,
		"jobs", fmt.Sprintf("%d running, %d queued", st.JobsRunning, st.JobsQueued),
		"engine", printable(st.Engine),
		"balance", balanceText(st),
		"process", fmt.Sprintf("%s of memory, %s goroutines, version %s", bytesText(st.RSS), strconv.Itoa(st.Goroutines), st.Version),
		"data", st.Dir,
	)
}

// balanceText is what the seed's ledger says, or that it says nothing now.
func balanceText(st api.Status) string {
	if st.BalanceError != "" {
		return "unknown: " + printable(st.BalanceError)
	}
	return st.Balance.String() + " credits"
}
