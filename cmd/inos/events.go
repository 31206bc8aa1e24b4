package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) eventsCmd() *cobra.Command {
	var since uint64
	cmd := &cobra.Command{
		Use: "events", Short: "Follow what happens on the node", Args: cobra.NoArgs,
		Long: "Print what the node remembers and then each event as it happens, until Ctrl-C. --json prints CloudEvents, one per line.",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			err := c.Events(cmd.Context(), since, func(e api.Event) error {
				if a.json {
					return a.line(e)
				}
				_, err := fmt.Fprintln(a.stdout, strings.TrimRight(fmt.Sprintf("%s  %-28s  %s  %s",
					e.Time.Local().Format(time.TimeOnly), printable(e.Type), printable(e.Subject), printable(string(e.Data))), " "))
				return outputError(err)
			})
			if cmd.Context().Err() != nil {
				return nil // Ctrl-C is how one stops following
			}
			return err
		}),
	}
	cmd.Flags().Uint64Var(&since, "since", 0, "only events after this id")
	return cmd
}
