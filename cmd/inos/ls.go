package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) lsCmd() *cobra.Command {
	var where, all, outputs bool
	var limit int
	cmd := &cobra.Command{
		Use: "ls [LINK[/PATH]]", Short: "List stored objects, or what a folder holds",
		Args: func(cmd *cobra.Command, args []string) error {
			if where && len(args) == 0 {
				return errors.New("--where needs a link: inos ls LINK --where")
			}
			if all && outputs {
				return errors.New("--all lists outputs too; choose one of --all and --outputs")
			}
			return cobra.MaximumNArgs(1)(cmd, args)
		},
		Long: `Without an argument, list the objects this node owns, newest first; the outputs of jobs are only
counted, unless --outputs or --all asks for them. RECEIPTS are those of distinct nodes when an object
was stored, of the copies wanted: what there is now, --where asks the nodes. With a link, or the name of an object, list what
the folder holds. --where shows which nodes hold the object's blocks. --json prints one line per item.`,
		Example: "  inos ls\n  inos ls --outputs --limit 20\n  inos ls photos/2024\n  inos ls photos --where",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			switch {
			case len(args) == 0:
				return a.listObjects(cmd.Context(), c, outputFilter(all, outputs), limit)
			case where:
				return a.listHolders(cmd.Context(), c, args[0])
			}
			return a.listFolder(cmd.Context(), c, args[0], limit)
		}),
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "list the outputs of jobs too")
	cmd.Flags().BoolVar(&outputs, "outputs", false, "list the outputs of jobs only")
	cmd.Flags().BoolVar(&where, "where", false, "show which nodes hold the blocks")
	cmd.Flags().IntVar(&limit, "limit", 1000, "most items to list; 0 for all")
	return cmd
}

func outputFilter(all, only bool) api.OutputFilter {
	switch {
	case all:
		return api.WithOutputs
	case only:
		return api.OnlyOutputs
	}
	return api.WithoutOutputs
}

func (a *app) listObjects(ctx context.Context, c *client.Client, filter api.OutputFilter, limit int) error {
	t := table{head: []string{"NAME", "SIZE", "FILES", "RECEIPTS", "AGE", "UNTIL", "LINK"}, right: map[int]bool{1: true, 2: true}}
	if filter != api.WithoutOutputs {
		t.head = slices.Insert(t.head, 3, "OUTPUT OF")
	}
	var hidden uint64
	more := false
	err := pages(limit, func(after string, n int) (string, int, error) {
		page, err := c.List(ctx, api.ListRequest{After: after, Limit: n, Outputs: filter})
		if err != nil {
			return "", 0, err
		}
		hidden += page.Hidden
		more = page.Next != ""
		for _, o := range page.Objects {
			if a.json {
				if err := a.line(o); err != nil {
					return "", 0, err
				}
				continue
			}
			t.rows = append(t.rows, a.objectRow(o, filter != api.WithoutOutputs))
		}
		return page.Next, len(page.Objects), nil
	})
	if err != nil || a.json {
		return err
	}
	if len(t.rows) > 0 {
		a.print(t)
	}
	switch {
	case hidden > 0:
		a.note("and %s; list them: inos ls --outputs, or everything: inos ls --all", count(hidden, "job output"))
	case len(t.rows) == 0 && filter == api.OnlyOutputs:
		a.note("no job has left an output yet; start one: inos run compute/hash.blake3 LINK")
	case len(t.rows) == 0:
		a.note("nothing stored yet; store something: inos put PATH")
	}
	if more {
		a.note("there are more; raise --limit, or --limit 0 for all")
	}
	return nil
}

func (a *app) objectRow(o api.Object, method bool) []string {
	row := []string{
		printable(objectName(o)), bytesText(o.Bytes), strconv.FormatUint(o.Files, 10),
		fmt.Sprintf("%d/%d", o.Acks, o.Copies), a.ago(o.Created), a.until(o.Until), o.Link.String(),
	}
	if method {
		row = slices.Insert(row, 3, dash(o.Method))
	}
	return row
}

func objectName(o api.Object) string {
	if o.Folder {
		return o.Name + "/"
	}
	return o.Name
}

// pages calls next until the list ends or limit items were seen; 0 is no limit.
func pages(limit int, next func(after string, n int) (string, int, error)) error {
	after, seen := "", 0
	for {
		n := api.DefaultPage
		if limit > 0 {
			n = min(n, limit-seen)
		}
		cursor, got, err := next(after, n)
		if err != nil {
			return err
		}
		seen += got
		if cursor == "" || got == 0 || limit > 0 && seen >= limit {
			return nil
		}
		after = cursor
	}
}

func (a *app) listFolder(ctx context.Context, c *client.Client, arg string, limit int) error {
	link, inside, err := resolve(ctx, c, arg)
	if err != nil {
		return err
	}
	t := table{head: []string{"NAME", "SIZE", "MODIFIED"}, right: map[int]bool{1: true}}
	add := func(i api.FileInfo) error {
		if a.json {
			return a.line(i)
		}
		t.rows = append(t.rows, []string{entryName(i), entrySize(i), a.ago(i.ModTime)})
		return nil
	}
	err = pages(limit, func(after string, n int) (string, int, error) {
		st, err := c.Stat(ctx, api.StatRequest{Link: link, Path: inside, After: after, Limit: n})
		if err != nil {
			return "", 0, err
		}
		if st.Info.Kind != api.FolderFile {
			return "", 1, add(st.Info)
		}
		for _, e := range st.Entries {
			if err := add(e); err != nil {
				return "", 0, err
			}
		}
		return st.Next, len(st.Entries), nil
	})
	if err == nil && !a.json {
		a.print(t)
	}
	return err
}

func entryName(i api.FileInfo) string {
	switch i.Kind {
	case api.FolderFile:
		return printable(i.Name) + "/"
	case api.SymlinkFile:
		return printable(i.Name + " -> " + i.Target)
	}
	return printable(i.Name)
}

// entrySize is empty for a folder: its entry does not say what it holds.
func entrySize(i api.FileInfo) string {
	if i.Kind == api.FolderFile {
		return "-"
	}
	return bytesText(i.Size)
}

func (a *app) listHolders(ctx context.Context, c *client.Client, arg string) error {
	link, _, err := resolve(ctx, c, arg)
	if err != nil {
		return err
	}
	h, err := c.Holders(ctx, link)
	if err != nil {
		return err
	}
	return a.show(h, func() {
		t := table{head: []string{"NODE", "STATE", "DOMAIN", "BLOCKS", "SIZE"}, right: map[int]bool{3: true, 4: true}}
		for _, o := range h.Holders {
			t.rows = append(t.rows, []string{printable(o.Name), onlineText(o.Online, o.Self), dash(o.Domain), strconv.FormatUint(o.Blocks, 10), bytesText(o.Bytes)})
		}
		a.print(t)
		_, _ = fmt.Fprintf(a.stdout, "\n%s in %s; each has at least %d of %s",
			bytesText(h.Bytes), count(h.Blocks, "block"), h.Copies, count(uint64(h.Wanted), "copy"))
		if h.UnderReplicated > 0 {
			_, _ = fmt.Fprintf(a.stdout, "; %s below that number", count(h.UnderReplicated, "block"))
		}
		_, _ = fmt.Fprintln(a.stdout)
	})
}

func onlineText(online, self bool) string {
	switch {
	case self:
		return "this node"
	case online:
		return "online"
	}
	return "away"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}
