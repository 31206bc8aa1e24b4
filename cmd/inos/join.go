package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"inos/kernel/api"
	"inos/node"
)

func (a *app) joinCmd() *cobra.Command {
	var start, force bool
	cmd := &cobra.Command{
		Use: "join INVITE", Short: "Join a mesh with an invite and run the node", Args: cobra.ExactArgs(1),
		Long: `Join the mesh that an invite names, then run the node as inos up does. INVITE - reads the
invite from standard input, which keeps it out of the shell's history.

A node belongs to one mesh. One that founded a mesh with other members, or that keeps data, asks
before it leaves, and needs --force where nobody can be asked; another folder (--dir) keeps both.`,
		Example: "  inos join inos-invite:AAAA... --host 0.0.0.0\n  inos join - < invite.txt\n  inos join INVITE --dir ~/second-node",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.notRunning(cmd.Context()); err != nil {
				return err
			}
			invite, err := a.readInvite(args[0])
			if err != nil {
				return err
			}
			m, err := a.join(cmd.Context(), invite, force)
			if err != nil {
				return err
			}
			if start {
				return a.up(cmd.Context())
			}
			return a.show(m, func() {
				a.fields("joined", m.Mesh.String(), "as", m.Name+" ("+m.Roles.String()+")")
				a.note("start the node: inos up")
			})
		},
	}
	cmd.Flags().BoolVar(&start, "start", true, "run the node after joining")
	cmd.Flags().BoolVar(&force, "force", false, "leave a mesh that has other members or data without asking")
	nodeFlags(cmd.Flags())
	return cmd
}

func (a *app) readInvite(arg string) (string, error) {
	if arg != "-" {
		return strings.TrimSpace(arg), nil
	}
	raw, err := io.ReadAll(io.LimitReader(a.stdin, 64<<10))
	if err != nil {
		return "", api.E("cli.join", api.Invalid, err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// join redeems the invite and asks first when a mesh would be left.
func (a *app) join(ctx context.Context, invite string, force bool) (api.Membership, error) {
	m, err := joinMesh(ctx, a.config, invite, force)
	var ties *node.TiesError
	if !errors.As(err, &ties) {
		return m, err
	}
	if !a.inTTY || !a.errTTY || a.json {
		return m, api.E("cli.join", api.Exists, fmt.Errorf("%w; %s", ties, "keep it and join with another folder (--dir), or leave it for good with --force"))
	}
	if !a.askLeave(ties.Ties, ties.Error()) {
		return m, api.Errorf("cli.join", api.Canceled, "nothing was changed; to keep both, join with another folder (--dir)")
	}
	return joinMesh(ctx, a.config, invite, true)
}

// askLeave tells what leaving means and reads the answer.
func (a *app) askLeave(t node.Ties, what string) bool {
	_, _ = fmt.Fprintf(a.stderr, "%s %s\n", a.paint(a.errTTY, yellow, "warning:"), printable(what))
	if t.Founded && len(t.Others) > 0 {
		_, _ = fmt.Fprintln(a.stderr, "  without it nobody can join that mesh and its ledger cannot be reached")
	}
	if t.Objects > 0 || t.Blocks > 0 {
		_, _ = fmt.Fprintln(a.stderr, "  copies on other nodes of that mesh are out of reach afterwards; those in this folder stay")
	}
	_, _ = fmt.Fprintf(a.stderr, "Leave that mesh for good? [y/N] ")
	answer, err := bufio.NewReader(io.LimitReader(a.stdin, 64)).ReadString('\n')
	if err != nil {
		_, _ = fmt.Fprintln(a.stderr)
		return false
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
