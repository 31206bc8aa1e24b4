package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

// Exit statuses beside api.ExitCode.
const (
	exitUsage       = 2
	exitInterrupted = 130 // a second signal
)

// app is one invocation: its streams, its configuration and what the flags of
// the root command say.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	outTTY, errTTY bool
	inTTY          bool
	environ        func() []string
	now            func() time.Time

	json    bool
	quiet   bool
	file    string // --config
	config  Config
	sources map[string]string // where each setting came from
	started bool              // arguments were understood
	client  *client.Client
	recent  *recentLines // of the node's log, while one runs in this process
}

// run executes the command line and returns the exit status.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if a.client != nil {
		a.client.Close()
	}
	switch {
	case err == nil:
		return 0
	case !a.started:
		fmt.Fprintf(a.stderr, "inos: %s\n  try: %s --help\n", err, cmd.CommandPath())
		return exitUsage
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || api.KindOf(err) == api.Canceled):
		err = api.Errorf("cli.run", api.Canceled, "interrupted")
	}
	a.report(err)
	return api.ExitCode(err)
}

// report prints an error as one line, and a line that says what to do.
func (a *app) report(err error) {
	msg, hint := message(err), a.hint(err)
	if a.json {
		_ = json.NewEncoder(a.stderr).Encode(map[string]any{"error": map[string]string{
			"kind": api.KindOf(err).String(), "detail": msg, "hint": hint,
		}})
		return
	}
	fmt.Fprintf(a.stderr, "%s %s\n", a.paint(a.errTTY, red, "inos:"), msg)
	if hint != "" {
		fmt.Fprintf(a.stderr, "  %s\n", hint)
	}
}

// message is err for people: the innermost cause in one line.
func message(err error) string {
	var e *api.Error
	msg := err.Error()
	if errors.As(err, &e) {
		msg = e.Message()
	}
	return printable(strings.Join(strings.Fields(msg), " "))
}

// hint says what to do about an error whose message does not.
func (a *app) hint(err error) string {
	var dial *client.DialError
	if errors.As(err, &dial) {
		if a.config.URL != "" {
			return "start it with --api, or unset --url to use the socket"
		}
		return "start one in another terminal: inos up" + a.dirFlag()
	}
	if h, ok := inviteHint(err); ok {
		return h
	}
	switch api.KindOf(err) {
	case api.Unavailable:
		return "see which nodes are online: inos peers"
	case api.Unverified:
		return "check that the link, invite or token is complete"
	case api.Corrupt:
		return "see what is damaged and how to repair it: inos doctor"
	case api.Exhausted:
		return "raise the limit, or try again when the node is less busy"
	case api.NoSpace:
		return "free some disk, raise --quota, or remove objects: inos rm LINK"
	case api.PriceAboveCap:
		return "the cap is compared with the price of the whole gas limit: lower --gas, or raise --price-cap"
	case api.Unfunded:
		return "see the balance: inos credits"
	case api.Timeout:
		return "raise --timeout, or check the node: inos doctor"
	}
	return ""
}

// inviteHint says what to do about an invite that was refused; ok is false for
// errors of other commands.
func inviteHint(err error) (hint string, ok bool) {
	var e *api.Error
	if !errors.As(err, &e) || e.Op != "node.join" && !strings.HasPrefix(e.Op, "identity.") && e.Op != "cli.join" {
		return "", false
	}
	switch msg := e.Message(); {
	case strings.Contains(msg, "ask for"), e.Kind == api.NotFound, e.Kind == api.Unverified:
		return "a new one: run inos invite on the node that founded the mesh", true
	case e.Kind == api.Unavailable, e.Kind == api.Timeout:
		return "check that the node that made the invite runs, and that its address can be reached from here", true
	}
	return "", true
}

// root assembles the commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "inos",
		Short: "One computer made of the machines you have",
		Long: `inos turns machines into one computer: put data in and get a link, run sandboxed
WebAssembly next to the data, and see every byte and every computation in credits.

Start here:
  inos demo          the whole story on three local nodes
  inos up            run a node
  inos put FOLDER    store something and get its link`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true
			return a.configure(cmd)
		},
	}
	root.Version = versionLine()
	root.SetVersionTemplate("{{.Version}}\n")
	a.globalFlags(root)
	root.AddGroup(
		&cobra.Group{ID: "node", Title: "Node:"},
		&cobra.Group{ID: "data", Title: "Data:"},
		&cobra.Group{ID: "work", Title: "Work:"},
	)
	for group, cmds := range map[string][]*cobra.Command{
		"node": {a.upCmd(), a.joinCmd(), a.inviteCmd(), a.identityCmd(), a.peersCmd(), a.statusCmd(), a.arenaCmd(), a.doctorCmd(), a.stopCmd(), a.eventsCmd(), a.uiCmd()},
		"data": {a.putCmd(), a.getCmd(), a.lsCmd(), a.rmCmd()},
		"work": {a.runCmd(), a.jobsCmd(), a.moduleCmd(), a.creditsCmd()},
	} {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	root.AddCommand(a.demoCmd(), a.benchCmd(), a.versionCmd(), a.configCmd(), exitCodesTopic())
	strictHelp(root)
	a.completions(root)
	return root
}

// group makes a command that only holds others refuse what it does not hold.
func group(cmd *cobra.Command) {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// strictHelp makes the commands that cobra adds fail on names that do not exist.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "completion":
			group(cmd)
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return fmt.Errorf("unknown help topic %q", strings.Join(args, " "))
				}
				return nil
			}
		}
	}
}

// connect returns the client of the configured node. It does not dial.
func (a *app) connect() (*client.Client, error) {
	if a.client != nil {
		return a.client, nil
	}
	if a.config.URL == "" {
		if err := checkSocketDir(a.config.Socket); err != nil {
			return nil, err
		}
		a.client = client.Unix(a.config.Socket)
		return a.client, nil
	}
	token, err := os.ReadFile(a.config.TokenFile)
	if err != nil {
		return nil, api.E("cli.token", api.Denied, err)
	}
	c, err := client.HTTP(a.config.URL, strings.TrimSpace(string(token)))
	if err != nil {
		return nil, err
	}
	a.client = c
	return c, nil
}

// remote wraps a command that needs a running node.
func (a *app) remote(fn func(cmd *cobra.Command, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		return fn(cmd, c, args)
	}
}

// show prints v as JSON with --json, else calls human.
func (a *app) show(v any, human func()) error {
	if !a.json {
		human()
		return nil
	}
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return outputError(enc.Encode(v))
}

// line prints v as one line of JSON.
func (a *app) line(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return outputError(enc.Encode(v))
}

func outputError(err error) error {
	if err == nil {
		return nil
	}
	return api.E("cli.output", api.Other, err)
}

// names maps the mesh's node ids to names, as far as the node knows them.
func names(ctx context.Context, c *client.Client) map[api.NodeID]string {
	peers, err := c.Peers(ctx)
	if err != nil {
		return nil // tables then show short ids
	}
	m := make(map[api.NodeID]string, len(peers))
	for _, p := range peers {
		m[p.Node] = p.Name
	}
	return m
}

func nodeName(m map[api.NodeID]string, id api.NodeID) string {
	switch {
	case id.IsZero():
		return "-"
	case m[id] != "":
		return m[id]
	}
	return id.Short()
}

// env looks up one variable of the process environment.
func (a *app) env(name string) string {
	for _, kv := range slices.Backward(a.environ()) {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}
