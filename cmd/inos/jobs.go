package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) jobsCmd() *cobra.Command {
	var f api.JobFilter
	var batch string
	var limit int
	cmd := &cobra.Command{
		Use: "jobs", Short: "List jobs this node pays for, newest first", Args: cobra.NoArgs,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if batch != "" {
				id, err := api.ParseID(batch)
				if err != nil {
					return err
				}
				f.Batch = id
			}
			t := table{head: []string{"JOB", "METHOD", "INPUT", "STATE", "NODE", "TIME", "PRICE", "AGE"}, right: map[int]bool{5: true, 6: true}}
			ids := names(cmd.Context(), c)
			err := pages(limit, func(after string, n int) (string, int, error) {
				f.After, f.Limit = after, n
				page, err := c.Jobs(cmd.Context(), f)
				if err != nil {
					return "", 0, err
				}
				for _, j := range page.Jobs {
					if a.json {
						if err := a.line(j); err != nil {
							return "", 0, err
						}
						continue
					}
					t.rows = append(t.rows, []string{
						j.Spec.ID.String(), printable(j.Method), dash(j.Name), j.State.String(), nodeName(ids, j.Result.Worker),
						durationText(time.Duration(j.Result.RunUS) * time.Microsecond), j.Price.String(), a.ago(j.Spec.Submitted),
					})
				}
				return page.Next, len(page.Jobs), nil
			})
			if err != nil || a.json {
				return err
			}
			t.tint = func(row, col int) colour {
				if col == 3 && t.rows[row][col] == api.JobFailed.String() {
					return red
				}
				return ""
			}
			if len(t.rows) == 0 {
				_, _ = fmt.Fprintln(a.stderr, "no jobs; start one: inos run compute/hash.blake3 LINK")
				return nil
			}
			a.print(t)
			return nil
		}),
	}
	cmd.Flags().StringVar(&batch, "batch", "", "only the jobs of this run")
	cmd.Flags().StringVar(&f.State, "state", "", "only jobs that are queued, quoted, running, done, failed or stopped")
	cmd.Flags().BoolVar(&f.Active, "active", false, "only jobs that have not ended")
	cmd.Flags().IntVar(&limit, "limit", 50, "most jobs to list; 0 for all")
	cmd.AddCommand(&cobra.Command{
		Use: "log ID", Short: "Print the end of what a job's module logged", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			id, err := api.ParseID(args[0])
			if err != nil {
				return err
			}
			j, err := c.Job(cmd.Context(), id)
			if err != nil {
				return err
			}
			if a.json {
				return a.line(map[string]any{"job": id, "log": j.Result.Log})
			}
			if j.Result.Log == "" {
				a.note("the job logged nothing")
			}
			for line := range strings.Lines(j.Result.Log) {
				_, _ = fmt.Fprintln(a.stdout, printable(strings.TrimSuffix(line, "\n")))
			}
			return nil
		}),
	})
	cmd.AddCommand(&cobra.Command{
		Use: "cancel ID...", Short: "Stop jobs, or every job of a run", Args: cobra.MinimumNArgs(1),
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			for _, arg := range args {
				id, err := api.ParseID(arg)
				if err != nil {
					return err
				}
				if err := c.JobCancel(cmd.Context(), id); err != nil {
					return err
				}
				a.note("stopped %s", id)
				if a.json {
					if err := a.line(map[string]any{"canceled": id}); err != nil {
						return err
					}
				}
			}
			return nil
		}),
	})
	return cmd
}
