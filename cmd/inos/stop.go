package main

import (
	"github.com/spf13/cobra"

	"inos/client"
)

func (a *app) stopCmd() *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "Ask the running node to drain and stop", Args: cobra.NoArgs,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if err := c.Shutdown(cmd.Context()); err != nil {
				return err
			}
			a.note("the node finishes what it is doing and stops, within 5 s")
			if a.json {
				return a.line(map[string]any{"stopping": true})
			}
			return nil
		}),
	}
}
