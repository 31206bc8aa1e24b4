package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

type putFlags struct {
	name, keep string
	public     bool
	copies     int
	acks       int
}

func (a *app) putCmd() *cobra.Command {
	var f putFlags
	cmd := &cobra.Command{
		Use: "put PATH...", Short: "Store files or folders and print their links", Args: cobra.MinimumNArgs(1),
		Long: `Store each PATH and print its link, one per line. PATH - reads standard input. A folder
keeps its symbolic links; sockets, pipes and devices are skipped with a warning. The link is
printed when the promised copies are on disk, and alone on standard output: the summary goes to
standard error. Whoever has the link can read the object.`,
		Example: "  inos put photos/ --copies 2\n  link=$(inos put photos/)\n  tar c src | inos put - --name src.tar --keep 30d",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			policy, err := a.policy(f)
			if err != nil {
				return err
			}
			for _, path := range args {
				if err := a.put(cmd.Context(), c, path, f.name, policy); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&f.name, "name", "", "name that inos ls shows (default the file's)")
	cmd.Flags().StringVar(&f.keep, "keep", "", "keep for this long, such as 12h, 30d or 1y (default until removed)")
	cmd.Flags().BoolVar(&f.public, "public", false, "do not seal: anybody who learns the address can read it")
	cmd.Flags().IntVar(&f.copies, "copies", 0, "copies on distinct nodes, 1 to 16 (default 3)")
	cmd.Flags().IntVar(&f.acks, "acks", 0, "copies to wait for (default as many as nodes are online)")
	return cmd
}

func (a *app) policy(f putFlags) (api.Policy, error) {
	if f.copies == 0 {
		f.copies = a.config.Copies
	}
	p := api.Policy{Public: f.public}
	if f.copies < 0 || f.copies > api.MaxCopies || f.acks < 0 || f.acks > api.MaxCopies {
		return p, api.Errorf("cli.put", api.Invalid, fmt.Sprintf("--copies and --acks are between 1 and %d", api.MaxCopies))
	}
	p.Copies, p.MinAcks = uint8(f.copies), uint8(f.acks)
	if f.keep != "" {
		d, err := parseDuration(f.keep)
		if err != nil {
			return p, err
		}
		p.Until = a.now().Add(d.Round(time.Second)).Unix()
	}
	return p, nil
}

// put stores one path and prints its link.
func (a *app) put(ctx context.Context, c *client.Client, path, name string, policy api.Policy) error {
	src, err := a.open(ctx, path)
	if err != nil {
		return err
	}
	defer func() { _ = src.body.Close() }() // opened for reading
	req := api.PutRequest{Name: src.name, Folder: src.folder, Policy: policy, Size: src.bytes, Files: src.files}
	if name != "" {
		req.Name = name
	}
	started := a.now()
	b := a.newBar("put "+req.Name, req.Size)
	obj, err := c.Put(ctx, req, src.body, func(p api.Progress) { b.set(p.Bytes) })
	b.done()
	if err != nil {
		return err
	}
	if a.json {
		return a.line(obj)
	}
	a.noteMoved(obj.Name, obj.Files, obj.Bytes, a.now().Sub(started), storedText(obj), copiesText(obj))
	_, err = fmt.Fprintln(a.stdout, obj.Link)
	return outputError(err)
}

// source is what a put reads.
type source struct {
	name         string
	folder       bool
	files, bytes uint64
	body         io.ReadCloser
}

func (a *app) open(ctx context.Context, path string) (source, error) {
	if path == "-" {
		return source{name: "stdin", files: 1, body: io.NopCloser(a.stdin)}, nil
	}
	fi, err := os.Stat(path)
	if err != nil {
		return source{}, readError(err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return source{}, readError(err)
	}
	s := source{name: filepath.Base(abs), folder: fi.IsDir()}
	switch {
	case fi.IsDir():
		if s.files, s.bytes, err = sizeUp(ctx, path); err != nil {
			return s, err
		}
		s.body = a.packed(ctx, path)
	case fi.Mode().IsRegular():
		f, err := os.Open(path)
		if err != nil {
			return s, readError(err)
		}
		s.files, s.bytes, s.body = 1, uint64(fi.Size()), f
	default:
		return s, api.Errorf("cli.put", api.Invalid, path+" is neither a file nor a folder; to store what it gives, use: inos put - < "+path)
	}
	return s, nil
}

// packed is the tar stream of a folder. Closing it ends the packing.
func (a *app) packed(ctx context.Context, dir string) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		w.CloseWithError(pack(ctx, w, dir, func(path string) {
			_, _ = fmt.Fprintf(a.stderr, "skipped %s: not a file, folder or link\n", printable(path))
		}))
	}()
	return r
}
