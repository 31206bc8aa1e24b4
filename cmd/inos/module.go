package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
	"inos/kernel/module"
)

func (a *app) moduleCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "module", Short: "Make, sign, add and inspect modules"}
	group(cmd)
	cmd.AddCommand(
		a.moduleNewCmd(), a.moduleBuildCmd(), a.moduleSignCmd(), a.moduleVerifyCmd(), a.moduleDeterminismCmd(),
		a.moduleShowCmd(), a.moduleResetCmd(), a.moduleStartCmd(), a.moduleStopCmd(), a.modulePsCmd(),
	)
	cmd.AddCommand(
		&cobra.Command{
			Use: "ls", Short: "List the modules this node can run", Args: cobra.NoArgs,
			RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
				mods, err := c.Modules(cmd.Context())
				if err != nil {
					return err
				}
				return a.show(mods, func() { a.moduleTable(mods) })
			}),
		},
		&cobra.Command{
			Use: "inspect NAME|HASH|FILE", Short: "Show a module's units, methods, limits and author", Args: cobra.ExactArgs(1),
			Long: "Show a module of the mesh, or a file of this machine when the argument ends in .wasm; a file needs no node.",
			RunE: func(cmd *cobra.Command, args []string) error {
				m, err := a.moduleOf(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return a.show(m, func() { a.moduleDetail(m) })
			},
		},
		a.moduleAddCmd(), a.moduleRmCmd(),
	)
	return cmd
}

func (a *app) moduleAddCmd() *cobra.Command {
	var key string
	var plain bool
	cmd := &cobra.Command{
		Use: "add FILE", Short: "Publish a module: store it and make it known to the mesh by name and hash", Args: cobra.ExactArgs(1),
		Long: `Validate a module file, store it in the mesh and tell every member. A file that nobody has signed is
signed with your author key first; the mesh then knows it as NAME@VERSION, and the name is yours if you
are the first to use it.`,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			wasm, err := readModule(args[0])
			if err != nil {
				return err
			}
			if _, err := module.Verify(wasm); api.KindOf(err) == api.NotFound && !plain {
				author, err := a.authorKey(key)
				if err != nil {
					return err
				}
				if wasm, err = module.Sign(author, wasm); err != nil {
					return err
				}
			}
			m, err := c.ModuleAdd(cmd.Context(), bytes.NewReader(wasm))
			if err != nil {
				return err
			}
			return a.show(m, func() { a.moduleDetail(m) })
		}),
	}
	cmd.Flags().StringVar(&key, "key", "", keyFlagHelp)
	cmd.Flags().BoolVar(&plain, "unsigned", false, "sign nothing; other members then find the module by its hash alone")
	return cmd
}

func (a *app) moduleRmCmd() *cobra.Command {
	var key string
	var here bool
	cmd := &cobra.Command{
		Use: "rm NAME|HASH", Short: "Withdraw a module you signed, or forget one on this node", Args: cobra.ExactArgs(1),
		Long: `Remove a module. One that you signed is withdrawn: every member forgets it, and the same file cannot be
added again. Anybody else's is forgotten on this node alone.`,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			m, err := c.Module(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var withdrawal [64]byte
			if !here && m.Verified {
				author, err := a.authorKey(key)
				if err != nil {
					return err
				}
				if author.ID() == m.Author {
					withdrawal = module.SignWithdrawal(author, m.Content)
				}
			}
			if err := c.ModuleRemove(cmd.Context(), m.Hash.String(), withdrawal); err != nil {
				return err
			}
			return a.show(m, func() {
				what := "forgotten on this node"
				if withdrawal != [64]byte{} {
					what = "withdrawn"
				}
				_, _ = fmt.Fprintf(a.stdout, "%s@%s %s\n", printable(m.Name), printable(m.Version), what)
			})
		}),
	}
	cmd.Flags().StringVar(&key, "key", "", keyFlagHelp)
	cmd.Flags().BoolVar(&here, "here", false, "forget it on this node alone even if you signed it")
	return cmd
}

// moduleOf describes a module file, or a module that the node knows.
func (a *app) moduleOf(ctx context.Context, ref string) (api.ModuleInfo, error) {
	if strings.HasSuffix(ref, ".wasm") {
		return localModule(ref)
	}
	c, err := a.connect()
	if err != nil {
		return api.ModuleInfo{}, err
	}
	return c.Module(ctx, ref)
}

func (a *app) moduleTable(mods []api.ModuleInfo) {
	t := table{head: []string{"NAME", "VERSION", "HASH", "SIZE", "METHODS", "DESCRIPTION"}, right: map[int]bool{3: true}}
	for _, m := range mods {
		var methods []string
		for _, u := range m.Units {
			for _, f := range u.Methods {
				methods = append(methods, u.Name+"."+f.Name)
			}
		}
		t.rows = append(t.rows, []string{
			printable(m.Name), printable(m.Version), m.Hash.Short(), bytesText(m.Size), printable(strings.Join(methods, " ")), printable(m.Description),
		})
	}
	a.print(t)
}

// moduleTraits is what kind of module it is.
func moduleTraits(m api.ModuleInfo) string {
	traits := []string{"guest"}
	if m.Resident {
		traits[0] = "resident"
	}
	if m.BuiltIn {
		traits = append(traits, "built in")
	}
	if m.Deterministic {
		traits = append(traits, "deterministic")
	}
	return strings.Join(traits, ", ")
}

func moduleLimits(l api.Limits) string {
	if l == (api.Limits{}) {
		return ""
	}
	var parts []string // those that the module leaves to the node are not its limits
	if l.Gas > 0 {
		parts = append(parts, "gas "+gasText(l.Gas))
	}
	if l.MemoryBytes > 0 {
		parts = append(parts, "memory "+bytesText(l.MemoryBytes))
	}
	if l.OutputBytes > 0 {
		parts = append(parts, "output "+bytesText(l.OutputBytes))
	}
	if l.WallMS > 0 {
		parts = append(parts, "time "+durationText(time.Duration(l.WallMS)*time.Millisecond))
	}
	return strings.Join(parts, ", ")
}

func (a *app) moduleDetail(m api.ModuleInfo) {
	author := m.Author.String() + " (signature holds)"
	if !m.Verified {
		author = "unsigned"
	}
	link := ""
	if !m.Link.IsZero() {
		link = m.Link.String()
	}
	a.fields(
		"module", printable(m.Name+" "+m.Version), "run as", printable(m.Ref), "about", printable(m.Description), "hash", m.Hash.String(), "size", bytesText(m.Size),
		"author", author, "kind", moduleTraits(m), "link", link,
		"limits", moduleLimits(m.Limits),
		"syscalls", printable(strings.Join(m.Syscalls, " ")),
	)
	for _, u := range m.Units {
		for _, f := range u.Methods {
			_, _ = fmt.Fprintf(a.stdout, "\n%s  %s\n", a.paint(a.outTTY, bold, printable(m.Name+"/"+u.Name+"."+f.Name)), printable(f.Description))
			a.fields("  in", printable(strings.Join(f.Accepts, " ")), "  out", printable(strings.Join(f.Returns, " ")), "  params", printable(string(f.Params)))
		}
	}
}
