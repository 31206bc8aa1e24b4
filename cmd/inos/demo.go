package main

import (
	"os"

	"github.com/spf13/cobra"

	"inos/demo"
	"inos/kernel/api"
)

func (a *app) demoCmd() *cobra.Command {
	opt := demo.Options{}
	cmd := &cobra.Command{
		Use: "demo [FOLDER]", Short: "Show what INOS does with three nodes on this machine", Args: cobra.MaximumNArgs(1),
		Long: `Start three real node processes on loopback, keep FOLDER (or a built-in set of pictures) on
them, make thumbnails across the nodes, kill one of them, read everything back, let a new node
take the lost one's place, and show the credits. The nodes stay up until Ctrl-C.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			exe, err := os.Executable()
			if err != nil {
				return api.E("cli.demo", api.Other, err)
			}
			opt.Exe, opt.JSON, opt.Color, opt.Out = exe, a.json, a.outTTY, a.stdout
			if len(args) == 1 {
				opt.Folder = args[0]
			}
			if a.json {
				opt.Exit = true
			}
			return demo.Run(cmd.Context(), opt)
		},
	}
	cmd.Flags().BoolVar(&opt.Exit, "exit", false, "end after the story instead of waiting for Ctrl-C")
	cmd.Flags().DurationVar(&opt.Pause, "pause", 0, "wait this long before the kill, to watch it on the page")
	cmd.Flags().StringVar(&opt.Dir, "data", "", "keep the nodes' data in this folder, which no demo used before (default a temporary one)")
	return cmd
}
