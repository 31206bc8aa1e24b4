package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

// maxRuns bounds the runs of each node and input.
const maxRuns = 100

// sample is one run: on which node, what came out, what it cost.
type sample struct {
	Node   string   `json:"node"`
	State  string   `json:"state"`
	Error  string   `json:"error,omitempty"`
	Gas    uint64   `json:"gas"`
	Type   string   `json:"media_type,omitempty"`
	Output api.Link `json:"output"`
	Size   uint64   `json:"size"`
}

// verdict is what the runs of one input say.
type verdict struct {
	Input      string   `json:"input,omitempty"`
	Same       bool     `json:"same"`
	Difference string   `json:"difference,omitempty"` // the first one, in words
	Samples    []sample `json:"samples"`
}

func (a *app) moduleDeterminismCmd() *cobra.Command {
	var f runFlags
	var nodes []string
	var runs int
	cmd := &cobra.Command{
		Use: "verify-determinism MODULE/UNIT.METHOD [LINK[/PATH]|FILE]...", Short: "Run a method on several nodes and compare bytes and gas", Args: cobra.MinimumNArgs(1),
		Long: `Run a method several times on each of at least two nodes with equal inputs, and compare outcome, media type,
gas and every output byte. A FILE is stored first. The job's seed is derived from the job, so a method that
uses it gives other bytes in every run and is not verified by running again either.

The exit status is 0 when all runs agree and that of "corrupt" when two differ.`,
		Example: "  inos module verify-determinism compute/image.thumbnail photo.jpg --nodes oak,cedar",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if runs < 1 || runs > maxRuns {
				return api.Errorf("cli.determinism", api.Invalid, fmt.Sprintf("--runs is between 1 and %d", maxRuns))
			}
			inputs, err := a.inputLinks(cmd.Context(), c, args[1:])
			if err != nil {
				return err
			}
			if nodes, err = twoNodes(cmd.Context(), c, nodes); err != nil {
				return err
			}
			return a.verifyDeterminism(cmd.Context(), c, f, args[0], inputs, nodes, runs)
		}),
	}
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.params, "param", "p", nil, "a parameter, name=value; may be repeated")
	fl.StringVar(&f.json, "params", "", "all parameters as a JSON object")
	fl.StringSliceVar(&nodes, "nodes", nil, "the nodes, by name or id (default: this one and another that is online)")
	fl.IntVar(&runs, "runs", 2, "runs on each node")
	return cmd
}

// inputLinks stores files and leaves links as they are.
func (a *app) inputLinks(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	var links []string
	for _, arg := range args {
		if strings.HasPrefix(arg, "inos:") {
			links = append(links, arg)
			continue
		}
		f, err := os.Open(arg)
		if err != nil {
			return nil, readError(err)
		}
		obj, err := c.Put(ctx, api.PutRequest{Name: "determinism-input"}, f, func(api.Progress) {})
		_ = f.Close() // opened for reading
		if err != nil {
			return nil, err
		}
		links = append(links, obj.Link.String())
	}
	if len(links) == 0 {
		links = []string{""} // one call without input
	}
	return links, nil
}

// twoNodes is the list given, or this node and another one that works.
func twoNodes(ctx context.Context, c *client.Client, given []string) ([]string, error) {
	if len(given) > 1 {
		return given, nil
	}
	peers, err := c.Peers(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range peers {
		if len(given) < 2 && p.Workers > 0 && (p.Self || p.Online) && !(len(given) == 1 && given[0] == p.Name) {
			given = append(given, p.Name)
		}
	}
	if len(given) < 2 {
		return nil, api.Errorf("cli.determinism", api.Unavailable, "comparing takes two nodes that run jobs, and only one is online")
	}
	return given, nil
}

// verifyDeterminism runs and compares, one input after the other.
func (a *app) verifyDeterminism(ctx context.Context, c *client.Client, f runFlags, method string, inputs, nodes []string, runs int) error {
	var verdicts []verdict
	failed := 0
	for _, input := range inputs {
		args := []string{method}
		if input != "" {
			args = append(args, input)
		}
		v := verdict{Input: input, Same: true}
		for _, node := range nodes {
			f.node = node
			for range runs {
				s, err := a.sampleRun(ctx, c, f, args)
				if err != nil {
					return err
				}
				s.Node = node
				v.Samples = append(v.Samples, s)
				if v.Same {
					if v.Difference, err = firstDifference(ctx, c, v.Samples[0], s); err != nil {
						return err
					}
					v.Same = v.Difference == ""
				}
			}
		}
		if !v.Same {
			failed++
		}
		verdicts = append(verdicts, v)
	}
	err := a.show(verdicts, func() { a.verdicts(verdicts) })
	if err == nil && failed > 0 {
		err = api.Errorf("cli.determinism", api.Corrupt, fmt.Sprintf("%s is not deterministic: %d of %d inputs gave differing results", method, failed, len(inputs)))
	}
	return err
}

func (a *app) verdicts(list []verdict) {
	for _, v := range list {
		first := v.Samples[0]
		if v.Same {
			_, _ = fmt.Fprintf(a.stdout, "same  %s  %d runs on %s, each %s, %s of output, gas %d\n", dash(v.Input), len(v.Samples), sampledOn(v.Samples), first.State, bytesText(first.Size), first.Gas)
			continue
		}
		_, _ = fmt.Fprintf(a.stdout, "%s  %s  %s\n", a.paint(a.outTTY, red, "differs"), dash(v.Input), v.Difference)
	}
}

// sampledOn names the nodes of samples, each once.
func sampledOn(samples []sample) string {
	var names []string
	for _, s := range samples {
		if name := printable(s.Node); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " and ")
}

// sampleRun runs one job. A job that fails is an outcome too.
func (a *app) sampleRun(ctx context.Context, c *client.Client, f runFlags, args []string) (sample, error) {
	req, err := a.runRequest(ctx, c, f, args)
	if err != nil {
		return sample{}, err
	}
	var last []api.Job
	err = c.Run(ctx, req, func(j api.Job) error {
		if j.State.Final() {
			last = append(last, j)
		}
		return nil
	})
	if err != nil {
		return sample{}, err
	}
	if len(last) != 1 {
		return sample{}, api.Errorf("cli.determinism", api.Invalid, "an input is one file: name a file inside the folder with LINK/PATH")
	}
	j := last[0]
	s := sample{State: j.State.String(), Error: j.Error, Gas: j.Result.Gas, Type: j.Result.MediaType, Output: j.Result.Output, Size: j.Result.OutputSize}
	return s, nil
}

// firstDifference says in words how b differs from a; "" when it does not.
func firstDifference(ctx context.Context, c *client.Client, a, b sample) (string, error) {
	between := fmt.Sprintf(" between %s and %s", a.Node, b.Node)
	switch {
	case a.State != b.State || a.Error != b.Error:
		return fmt.Sprintf("the outcome: %s %s and %s %s%s", a.State, a.Error, b.State, b.Error, between), nil
	case a.Type != b.Type:
		return fmt.Sprintf("the media type: %q and %q%s", a.Type, b.Type, between), nil
	}
	x, err := outputBytes(ctx, c, a)
	if err != nil {
		return "", err
	}
	y, err := outputBytes(ctx, c, b)
	if err != nil {
		return "", err
	}
	if at := differsAt(x, y); at >= 0 {
		return fmt.Sprintf("byte %d of the output (%d and %d bytes)%s", at, len(x), len(y), between), nil
	}
	if a.Gas != b.Gas {
		return fmt.Sprintf("the gas: %d and %d%s", a.Gas, b.Gas, between), nil
	}
	return "", nil
}

// differsAt is the first byte at which a and b differ, -1 when they are equal.
func differsAt(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func outputBytes(ctx context.Context, c *client.Client, s sample) ([]byte, error) {
	if s.Output.IsZero() {
		return nil, nil
	}
	var b bytes.Buffer
	err := c.Get(ctx, api.GetRequest{Link: s.Output}, func(api.FileInfo) (io.Writer, error) { return &b, nil })
	return b.Bytes(), err
}
