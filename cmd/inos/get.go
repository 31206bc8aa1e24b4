package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) getCmd() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "get LINK[/PATH] [DEST]", Short: "Read an object back", Args: cobra.RangeArgs(1, 2),
		Long: `LINK may be the name of an object that inos ls shows. Write an object, or the file or folder at PATH inside it, to DEST: the object's name in the
current folder by default. DEST - writes to standard output, a folder as a tar stream. Every
byte is verified. Nothing is overwritten without --force. The path goes to standard output and a
summary to standard error.`,
		Example: "  inos get \"inos:bafkr4i...#key\" backup\n  inos get photos/2024/beach.jpg\n  inos get photos - | tar t",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			link, inside, err := resolve(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			dest := ""
			if len(args) > 1 {
				dest = args[1]
			}
			g := &getter{app: a, c: c, link: link, path: inside, force: force}
			return g.get(cmd.Context(), dest)
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite what is there")
	return cmd
}

// getter reads one object or a part of it.
type getter struct {
	*app
	c     *client.Client
	link  api.Link
	path  string
	force bool
}

func (g *getter) get(ctx context.Context, dest string) error {
	st, err := g.c.Stat(ctx, api.StatRequest{Link: g.link, Path: g.path, Limit: 1})
	if err != nil {
		return err
	}
	folder := st.Info.Kind == api.FolderFile
	if st.Info.Kind == api.SymlinkFile {
		return api.Errorf("cli.get", api.Invalid, "this is a symbolic link to "+printable(st.Info.Target)+"; get the folder that holds it")
	}
	started := g.now()
	if dest == "-" {
		if err := g.toStdout(ctx, st.Info, folder); err != nil {
			return err
		}
		g.noteGot(st.Info, started)
		return nil
	}
	dest, err = destination(dest, st.Info, g.link)
	if err != nil {
		return err
	}
	if folder {
		err = g.toFolder(ctx, st.Info, dest)
	} else {
		err = g.toFile(ctx, st.Info, dest)
	}
	if err != nil {
		return err
	}
	g.noteGot(st.Info, started)
	if g.json {
		return g.line(map[string]any{"path": dest, "kind": st.Info.Kind, "bytes": st.Info.Size, "files": max(st.Info.Files, 1)})
	}
	_, err = io.WriteString(g.stdout, printable(dest)+"\n")
	return outputError(err)
}

// noteGot sums up what was read.
func (g *getter) noteGot(info api.FileInfo, started time.Time) {
	g.noteMoved(baseName(info, g.link), max(info.Files, 1), info.Size, g.now().Sub(started), "every byte verified")
}

// destination is where to write: dest itself, or below it the object's own name
// when dest is a folder and the object is a file, or nothing was named.
func destination(dest string, info api.FileInfo, link api.Link) (string, error) {
	name := baseName(info, link)
	if dest == "" {
		return name, nil
	}
	fi, err := os.Stat(dest)
	if info.Kind == api.RegularFile && (err == nil && fi.IsDir() || strings.HasSuffix(dest, "/")) {
		return filepath.Join(dest, name), nil
	}
	return filepath.Clean(dest), nil
}

// baseName is the object's own name, if it is safe to write to, else one made
// of its address.
func baseName(info api.FileInfo, link api.Link) string {
	name := info.Name
	if info.Path != "" {
		name = path.Base(info.Path)
	}
	if clean, ok := localName(name); ok && !strings.ContainsAny(clean, "/\\") && printable(clean) == clean {
		return clean
	}
	root := link.Root.String()
	return "inos-" + root[max(len(root)-8, 0):]
}

func (g *getter) request(tar bool) api.GetRequest {
	return api.GetRequest{Link: g.link, Path: g.path, Tar: tar}
}

func (g *getter) toStdout(ctx context.Context, info api.FileInfo, folder bool) error {
	if folder && g.outTTY {
		return api.Errorf("cli.get", api.Invalid, "a folder comes as a tar stream, which a terminal cannot show; redirect it, or name a destination")
	}
	b := g.newBar("get "+info.Name, info.Size)
	defer b.done()
	return g.c.Get(ctx, g.request(folder), func(api.FileInfo) (io.Writer, error) {
		return io.MultiWriter(g.stdout, b), nil
	})
}

// toFile writes one file under a temporary name and renames it into place.
func (g *getter) toFile(ctx context.Context, info api.FileInfo, dest string) (err error) {
	if _, statErr := os.Lstat(dest); statErr == nil && !g.force {
		return existsError(dest)
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o777); err != nil {
		return writeFileError(err)
	}
	temp := filepath.Join(filepath.Dir(dest), tempName())
	mode := os.FileMode(info.Mode) & 0o777
	if mode == 0 {
		mode = 0o644
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o200)
	if err != nil {
		return writeFileError(err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp) // the first error is the one to tell
		}
	}()
	b := g.newBar("get "+info.Name, info.Size)
	err = g.c.Get(ctx, g.request(false), func(api.FileInfo) (io.Writer, error) {
		return io.MultiWriter(f, b), nil
	})
	b.done()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fileOrStream(err)
	}
	return writeFileError(os.Rename(temp, dest))
}

// fileOrStream gives an error of the local disk its kind and leaves those of
// the transfer.
func fileOrStream(err error) error {
	if api.KindOf(err) != api.Other {
		return err
	}
	return writeFileError(err)
}

// toFolder unpacks a folder. A destination that does not exist yet appears only
// when everything is there.
func (g *getter) toFolder(ctx context.Context, info api.FileInfo, dest string) error {
	if _, err := os.Lstat(dest); err == nil {
		if !g.force {
			return existsError(dest)
		}
		return g.unpack(ctx, info, dest)
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o777); err != nil {
		return writeFileError(err)
	}
	temp := filepath.Join(filepath.Dir(dest), tempName())
	if err := os.Mkdir(temp, 0o777); err != nil {
		return writeFileError(err)
	}
	err := g.unpack(ctx, info, temp)
	if err == nil {
		err = writeFileError(os.Rename(temp, dest))
	}
	if err != nil {
		_ = os.RemoveAll(temp) // the first error is the one to tell
	}
	return err
}

func (g *getter) unpack(ctx context.Context, info api.FileInfo, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return writeFileError(err)
	}
	defer func() { _ = root.Close() }()
	b := g.newBar("get "+info.Name, info.Size)
	defer b.done()
	r, w := io.Pipe()
	extracted := make(chan error, 1)
	go func() {
		err := extract(root, io.TeeReader(r, b), g.force)
		r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // never leaves the writer waiting
		extracted <- err
	}()
	err = g.c.Get(ctx, g.request(true), func(api.FileInfo) (io.Writer, error) { return w, nil })
	w.CloseWithError(err) // nil is the end of the stream
	if extractErr := <-extracted; extractErr != nil {
		return extractErr
	}
	return err
}
