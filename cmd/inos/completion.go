package main

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

// Bounds of a completion: whoever pressed Tab waits for it.
const (
	completeTime = 400 * time.Millisecond
	maxComplete  = 200 // candidates from one question
)

// candidates asks the running node for what may stand in one place. word is
// what was typed so far.
type candidates func(ctx context.Context, c *client.Client, word string) ([]cobra.Completion, cobra.ShellCompDirective)

// completions gives arguments and flags their candidates. It goes by the names
// of commands, so that a command that another file or build adds is completed
// when it is there.
func (a *app) completions(root *cobra.Command) {
	object := a.complete(objectNames)
	member := a.complete(memberNames)
	first := func(fn cobra.CompletionFunc) cobra.CompletionFunc {
		return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return fn(cmd, args, word)
		}
	}
	for name, fn := range map[string]cobra.CompletionFunc{
		"ls": first(object), "rm": object, "get": thenFiles(object), "run": thenObjects(a.complete(methodNames), object),
		"peers revoke": first(member), "credits transfer": first(member),
		"jobs cancel": a.complete(activeJobs), "module inspect": first(a.complete(moduleNames)),
	} {
		if cmd, _, err := root.Find(strings.Fields(name)); err == nil && cmd.Name() == path.Base(strings.ReplaceAll(name, " ", "/")) {
			cmd.ValidArgsFunction = fn
		}
	}
	words := func(list ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp)
	}
	for name, fn := range map[string]cobra.CompletionFunc{
		"run node": member, "credits account": a.complete(accountNames),
		"credits cause": words("genesis", "grant", "escrow", "settle", "refund", "storage", "serve", "transfer"),
		"jobs state":    words("queued", "quoted", "running", "done", "failed", "stopped"),
		"jobs batch":    a.complete(batches), "invite roles": words("hub", "edge", "seed+hub"),
		"up log-level": words("debug", "info", "warn", "error"), "join log-level": words("debug", "info", "warn", "error"),
	} {
		command, flag, _ := strings.Cut(name, " ")
		if cmd, _, err := root.Find([]string{command}); err == nil && cmd.Flags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, fn) // fails only when done twice
		}
	}
	_ = root.RegisterFlagCompletionFunc("dir", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	})
}

// complete asks the node within completeTime. Without an answer there is
// nothing to suggest.
func (a *app) complete(fn candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if a.configure(cmd) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := a.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
		defer cancel()
		list, directive := fn(ctx, c, word)
		return list, directive | cobra.ShellCompDirectiveNoFileComp
	}
}

// thenFiles completes the first argument with fn and the second with files.
func thenFiles(fn cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return fn(cmd, args, word)
		case 1:
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// thenObjects completes the first argument with fn and all others with rest.
func thenObjects(fn, rest cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return fn(cmd, args, word)
		}
		return rest(cmd, args, word)
	}
}

// candidate is one suggestion with a description, both harmless to a terminal.
// What would be altered by that is not suggested.
func candidate(list []cobra.Completion, value, about string) []cobra.Completion {
	if value == "" || printable(value) != value {
		return list
	}
	return append(list, cobra.CompletionWithDesc(value, printable(about)))
}

// objectNames suggests the names of owned objects, and after NAME/ what the
// folder holds.
func objectNames(ctx context.Context, c *client.Client, word string) (out []cobra.Completion, d cobra.ShellCompDirective) {
	if dir, _ := path.Split(word); dir != "" {
		return folderNames(ctx, c, dir)
	}
	page, err := c.List(ctx, api.ListRequest{Limit: maxComplete, Outputs: api.WithoutOutputs})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, o := range page.Objects {
		if strings.Contains(o.Name, "/") || strings.HasPrefix(o.Name, api.LinkScheme) {
			continue // could not be told from a path or a link
		}
		out = candidate(out, o.Name, bytesText(o.Bytes)+" in "+count(o.Files, "file"))
	}
	return out, 0
}

func folderNames(ctx context.Context, c *client.Client, dir string) (out []cobra.Completion, d cobra.ShellCompDirective) {
	link, inside, err := resolve(ctx, c, dir)
	if err != nil {
		return nil, 0
	}
	st, err := c.Stat(ctx, api.StatRequest{Link: link, Path: inside, Limit: maxComplete})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, e := range st.Entries {
		out = candidate(out, dir+e.Name, e.Kind.String()+", "+bytesText(e.Size))
	}
	return out, 0
}

func memberNames(ctx context.Context, c *client.Client, _ string) (out []cobra.Completion, d cobra.ShellCompDirective) {
	peers, err := c.Peers(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, p := range peers {
		if !p.Revoked {
			out = candidate(out, p.Name, peerState(p))
		}
	}
	return out, 0
}

func accountNames(ctx context.Context, c *client.Client, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	out, d := memberNames(ctx, c, word)
	return candidate(out, "treasury", "not yet granted"), d
}

func moduleNames(ctx context.Context, c *client.Client, _ string) (out []cobra.Completion, d cobra.ShellCompDirective) {
	mods, err := c.Modules(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, m := range mods {
		out = candidate(out, m.Name, m.Description)
	}
	return out, 0
}

func methodNames(ctx context.Context, c *client.Client, _ string) (out []cobra.Completion, d cobra.ShellCompDirective) {
	mods, err := c.Modules(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, m := range mods {
		for _, u := range m.Units {
			for _, f := range u.Methods {
				out = candidate(out, m.Name+"/"+u.Name+"."+f.Name, f.Description)
			}
		}
	}
	return out, 0
}

func activeJobs(ctx context.Context, c *client.Client, _ string) (out []cobra.Completion, d cobra.ShellCompDirective) {
	page, err := c.Jobs(ctx, api.JobFilter{Active: true, Limit: maxComplete})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, j := range page.Jobs {
		out = candidate(out, j.Spec.ID.String(), j.Method+" "+j.Name+", "+j.State.String())
	}
	return out, 0
}

func batches(ctx context.Context, c *client.Client, _ string) (out []cobra.Completion, d cobra.ShellCompDirective) {
	page, err := c.Jobs(ctx, api.JobFilter{Limit: maxComplete})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	seen := map[api.ID]bool{}
	for _, j := range page.Jobs {
		if !seen[j.Spec.Batch] {
			seen[j.Spec.Batch] = true
			out = candidate(out, j.Spec.Batch.String(), j.Method)
		}
	}
	return out, 0
}
