package main

import (
	"context"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) rmCmd() *cobra.Command {
	return &cobra.Command{
		Use: "rm LINK|NAME...", Short: "Release objects this node owns", Args: cobra.MinimumNArgs(1),
		Long: `Release objects: their holders delete the blocks that nothing else names. A link, only its
address, or the object's name will do.`,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			links := make([]api.Link, len(args))
			for i, arg := range args {
				link, err := owned(cmd.Context(), c, arg)
				if err != nil {
					return err // before anything is removed
				}
				links[i] = link
			}
			for _, link := range links {
				if err := c.Remove(cmd.Context(), link); err != nil {
					return err
				}
				if a.json {
					if err := a.line(map[string]any{"removed": link.Root}); err != nil {
						return err
					}
				}
				a.note("released %s", link.Root)
			}
			return nil
		}),
	}
}

// owned reads a link, or finds an object of this node by address or name.
func owned(ctx context.Context, c *client.Client, arg string) (api.Link, error) {
	link, inside, err := resolve(ctx, c, arg)
	if err == nil && inside != "" {
		return link, api.Errorf("cli.rm", api.Invalid, "an object is released as a whole; name it without the path inside")
	}
	return link, err
}
