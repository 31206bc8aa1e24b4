package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) moduleStartCmd() *cobra.Command {
	var params []string
	var whole string
	var req api.ResidentStart
	cmd := &cobra.Command{
		Use: "start NAME|HASH", Short: "Start a resident module inside the node's shared memory", Args: cobra.ExactArgs(1),
		Long: `Start a resident module. It runs inside the node's arena until inos module stop, and shows what it
computes as states that other programs of this machine read: inos arena lists them.

A resident reaches all of the node's shared memory, so one that is not built in must be signed with the node's key.`,
		Example: "  inos module start boids --param agents=10000 --workers 2 --rate 30\n  inos module ps\n  inos module stop boids",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) (err error) {
			if req.Params, err = parseParams(whole, params); err != nil {
				return err
			}
			r, err := c.ModuleStart(cmd.Context(), args[0], req)
			if err != nil {
				return err
			}
			return a.show(r, func() { a.residentTable([]api.Resident{r}) })
		}),
	}
	fl := cmd.Flags()
	fl.StringArrayVarP(&params, "param", "p", nil, "a parameter of the module's start, name=value; may be repeated")
	fl.StringVar(&whole, "params", "", "all parameters as a JSON object")
	fl.IntVar(&req.Workers, "workers", 1, "workers over the same memory, 1 to 8")
	fl.Float64Var(&req.Rate, "rate", 30, "steps a second at most; 0 means as many as it can")
	return cmd
}

func (a *app) moduleStopCmd() *cobra.Command {
	return &cobra.Command{
		Use: "stop NAME|HASH", Short: "Stop a resident module and free its memory", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := c.ModuleStop(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(r, func() { a.residentTable([]api.Resident{r}) })
		}),
	}
}

func (a *app) modulePsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "ps", Short: "List the resident modules that run on the node, or ran", Args: cobra.NoArgs,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all, err := c.Residents(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(all, func() {
				if len(all) == 0 {
					_, _ = fmt.Fprintln(a.stdout, "No resident runs here. Try: inos module start boids")
					return
				}
				a.residentTable(all)
			})
		}),
	}
}

func (a *app) residentTable(all []api.Resident) {
	t := table{head: []string{"NAME", "VERSION", "STATE", "WORKERS", "STEPS", "GAS", "REGION", "STATES", "ERROR"}, right: map[int]bool{3: true, 4: true, 5: true}}
	for _, r := range all {
		t.rows = append(t.rows, []string{
			printable(r.Name), printable(r.Version), r.State, strconv.Itoa(r.Workers), strconv.FormatUint(r.Steps, 10), gasText(r.Gas),
			fmt.Sprintf("%#x", r.Region), printable(strings.Join(r.States, " ")), printable(r.Error),
		})
	}
	a.print(t)
}
