package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"inos/bench"
	"inos/kernel/api"
)

func (a *app) benchCmd() *cobra.Command {
	opt := bench.Options{}
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure this machine with real nodes", Args: cobra.NoArgs,
		Long: `Start nodes on loopback and measure storage, transfer, jobs, start and idle costs. When ipfs or
nats-server are on the PATH, the same work runs on them for comparison. It takes a few minutes;
figures are medians.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			exe, err := os.Executable()
			if err != nil {
				return api.E("cli.bench", api.Other, err)
			}
			opt.Exe, opt.JSON, opt.Out, opt.Log = exe, a.json, a.stdout, a.stderr
			opt.Command = "inos " + strings.Join(os.Args[1:], " ")
			return bench.Run(cmd.Context(), opt)
		},
	}
	cmd.Flags().StringVar(&opt.Record, "record", "", "write the run to this folder as JSON")
	cmd.Flags().StringVar(&opt.Only, "only", "", "measure one part: start, storage, small, jobs, shared, engine, wasmtime, memory, idle or peers")
	cmd.Flags().BoolVar(&opt.Quick, "quick", false, "one repetition of smaller work, to try it")
	return cmd
}
