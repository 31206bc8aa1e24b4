package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/node"
)

// maxSecretFile bounds what import reads; identity.ParseSecret has the real bound.
const maxSecretFile = 64 << 10

// nodeSecret is an exported or imported identity, for --json.
type nodeSecret struct {
	Node   api.NodeID `json:"node"`
	Secret string     `json:"secret,omitempty"`
	File   string     `json:"file,omitempty"`
}

func (a *app) identityCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "identity", Short: "Export or import the node's secret, to back it up or to move the node",
		Long: `The node's secret is 32 bytes in its data folder. Everything else it can sign, open and spend follows
from them. A native node and a browser's tab export and import the same form.

` + identity.SecretWarning,
	}
	group(cmd)
	cmd.AddCommand(a.identityExportCmd(), a.identityImportCmd())
	return cmd
}

func (a *app) identityExportCmd() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "export", Short: "Print the node's secret, or write it to a file", Args: cobra.NoArgs,
		Long: `Print the secret of the node in the data folder (--dir), which need not run. With --out it is written to
a new file that only you can read.`,
		Example: "  inos identity export --out node.secret\n  inos identity export | ssh other inos identity import -",
		RunE: func(*cobra.Command, []string) error {
			id, err := node.ReadIdentity(a.config.Dir)
			if err != nil {
				return err
			}
			shown := nodeSecret{Node: id.ID(), Secret: identity.FormatSecret(id)}
			if out != "" {
				if err := writeSecret(out, identity.FormatSecretFile(id)); err != nil {
					return err
				}
				shown.Secret, shown.File = "", out
			}
			a.warnSecret()
			return a.show(shown, func() {
				if out == "" {
					_, _ = fmt.Fprintln(a.stdout, shown.Secret)
				} else {
					a.note("wrote the secret of %s to %s", shown.Node, printable(out))
				}
			})
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "write to this new file, readable by you alone")
	return cmd
}

func (a *app) identityImportCmd() *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Make an exported secret that of a new node", Args: cobra.ExactArgs(1),
		Long: `Make an exported secret that of the node in the data folder (--dir), which must not have another one. FILE -
reads the secret from standard input. The node then joins its mesh again as the member that it was, with an
invite that names nobody (inos invite without --name). What the old data folder keeps does not move along.`,
		Example: "  inos identity import node.secret --dir ~/moved-node",
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := a.readSecret(args[0])
			if err != nil {
				return err
			}
			id, err := node.ImportIdentity(a.config.Dir, text)
			if err != nil {
				return err
			}
			a.warnSecret()
			return a.show(nodeSecret{Node: id}, func() {
				a.fields("identity", id.String(), "folder", printable(a.config.Dir))
				a.note("join its mesh: inos join INVITE, or found a new one: inos up")
			})
		},
	}
}

func (a *app) warnSecret() {
	_, _ = fmt.Fprintf(a.stderr, "%s %s\n", a.paint(a.errTTY, yellow, "warning:"), identity.SecretWarning)
}

func (a *app) readSecret(path string) (string, error) {
	const op = "cli.identity"
	in := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", api.Errorf(op, api.NotFound, "there is no file "+printable(path))
		}
		if err != nil {
			return "", api.E(op, api.Denied, err)
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxSecretFile))
	if err != nil {
		return "", api.E(op, api.Invalid, err)
	}
	return string(raw), nil
}

// writeSecret writes a file that was not there.
func writeSecret(path, text string) error {
	const op = "cli.identity"
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return api.Errorf(op, api.Exists, printable(path)+" is there already; name a new file")
	}
	if err != nil {
		return api.E(op, api.Denied, err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return api.E(op, api.NoSpace, errors.Join(err, os.Remove(path)))
	}
	return nil
}
