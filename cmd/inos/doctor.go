package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) doctorCmd() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check the node and say what to fix", Args: cobra.NoArgs,
		Long: "Run every check. The exit status is 0 when none failed, 1 when one did; warnings do not count.",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			checks, err := c.Doctor(cmd.Context())
			if err != nil {
				return err
			}
			failed := 0
			for _, ch := range checks {
				if ch.State == api.CheckFail {
					failed++
				}
			}
			if err := a.show(checks, func() { a.checkList(checks) }); err != nil {
				return err
			}
			if failed > 0 {
				return api.Errorf("cli.doctor", api.Other, count(uint64(failed), "check")+" failed")
			}
			return nil
		}),
	}
}

func (a *app) checkList(checks []api.Check) {
	colours := map[api.CheckState]colour{api.CheckOK: green, api.CheckWarn: yellow, api.CheckFail: red}
	for _, ch := range checks {
		state := a.paint(a.outTTY, colours[ch.State], fmt.Sprintf("%-4s", ch.State))
		_, _ = fmt.Fprintf(a.stdout, "%s  %s: %s\n", state, printable(ch.Name), printable(ch.Detail))
		if ch.Fix != "" {
			_, _ = fmt.Fprintf(a.stdout, "      %s\n", printable(ch.Fix))
		}
	}
}
