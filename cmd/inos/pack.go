package main

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"inos/kernel/api"
)

// packBuffer gathers the small writes of a tar stream.
const packBuffer = 256 << 10

// sizeUp counts the regular files below dir and their bytes, for progress.
func sizeUp(ctx context.Context, dir string) (files, bytes uint64, err error) {
	err = walk(ctx, dir, func(_, _ string, fi fs.FileInfo) error {
		if fi.Mode().IsRegular() {
			files++
			bytes += uint64(fi.Size())
		}
		return nil
	})
	return files, bytes, err
}

// pack writes the files below dir as a tar stream: each folder's entries sorted
// by name, symbolic links as links, times in whole seconds, no owners, so that
// the same folder gives the same stream. skipped hears of files that are none
// of these.
func pack(ctx context.Context, w io.Writer, dir string, skipped func(path string)) error {
	buf := bufio.NewWriterSize(w, packBuffer)
	t := tar.NewWriter(buf)
	err := walk(ctx, dir, func(path, name string, fi fs.FileInfo) error {
		switch fi.Mode().Type() {
		case 0, fs.ModeDir, fs.ModeSymlink:
			return packOne(t, path, name, fi)
		}
		skipped(path)
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.Close(); err != nil {
		return err
	}
	return buf.Flush()
}

// walk calls fn for everything below dir with its path, its slash-separated
// name relative to dir, and what it is. Memory is bounded by one folder.
func walk(ctx context.Context, dir string, fn func(path, name string, fi fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return api.E("cli.put", api.Canceled, ctx.Err())
		}
		if err != nil {
			return readError(err)
		}
		if path == dir {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return readError(err)
		}
		fi, err := d.Info()
		if err != nil {
			return readError(err)
		}
		return fn(path, filepath.ToSlash(rel), fi)
	})
}

func packOne(t *tar.Writer, path, name string, fi fs.FileInfo) error {
	h := &tar.Header{Name: name, Mode: int64(fi.Mode().Perm()), ModTime: fi.ModTime().Truncate(time.Second)}
	switch fi.Mode().Type() {
	case fs.ModeDir:
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
		return t.WriteHeader(h)
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return readError(err)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
		return t.WriteHeader(h)
	}
	f, err := os.Open(path)
	if err != nil {
		return readError(err)
	}
	defer func() { _ = f.Close() }()
	h.Typeflag, h.Size = tar.TypeReg, fi.Size()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	return copyExactly(t, f, path, fi.Size())
}

// copyExactly copies a file of the size its header promised.
func copyExactly(w io.Writer, f *os.File, path string, size int64) error {
	if _, err := io.CopyN(w, f, size); err != nil {
		if errors.Is(err, io.EOF) {
			return api.Errorf("cli.put", api.Conflict, path+" became shorter while it was read; put it again")
		}
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			return readError(err)
		}
		return err
	}
	var more [1]byte
	if n, _ := f.Read(more[:]); n > 0 {
		return api.Errorf("cli.put", api.Conflict, path+" grew while it was read; put it again")
	}
	return nil
}

// readError names the path that could not be read and what to do: fs errors
// carry it.
func readError(err error) error {
	const op = "cli.put"
	var at *fs.PathError
	if !errors.As(err, &at) {
		return api.E(op, api.Other, fmt.Errorf("cannot read: %w", err))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		where := ""
		if dir, err := os.Getwd(); err == nil && !filepath.IsAbs(at.Path) {
			where = " in " + dir
		}
		return api.Errorf(op, api.NotFound, "there is no file or folder "+at.Path+where+"; check the path")
	case errors.Is(err, fs.ErrPermission):
		return api.Errorf(op, api.Denied, "you may not read "+at.Path+"; change its permissions or leave it out")
	}
	return api.E(op, api.Other, fmt.Errorf("cannot read %s: %w", at.Path, at.Err))
}
