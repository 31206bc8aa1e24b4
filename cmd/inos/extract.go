package main

import (
	"archive/tar"
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"inos/kernel/api"
)

// extractor writes a tar stream below one folder and nowhere else: names are
// checked, and every operation goes through os.Root, which follows no symbolic
// link out of it. A file appears under its name only when it is whole.
//
// Invariant: symbolic links are made after everything else, so nothing of the
// stream is ever written through one of its own links.
type extractor struct {
	root  *os.Root
	force bool
	links []tar.Header // bounded by the stream's own entries
	dirs  []tar.Header
}

// extract unpacks the entries of r below root.
func extract(root *os.Root, r io.Reader, force bool) error {
	x := &extractor{root: root, force: force}
	for t := tar.NewReader(bufio.NewReaderSize(r, packBuffer)); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return streamError(err)
		}
		if err := x.entry(t, h); err != nil {
			return err
		}
	}
	// What follows the archive's end belongs to the transfer: it must be read for
	// the transfer to be known complete.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return streamError(err)
	}
	return x.finish()
}

func (x *extractor) entry(r io.Reader, h *tar.Header) error {
	name, ok := localName(h.Name)
	if !ok {
		return api.Errorf("cli.get", api.Invalid, fmt.Sprintf("the object holds a name that leads out of the folder: %q", h.Name))
	}
	h.Name = name
	if dir := path.Dir(name); dir != "." {
		if err := x.root.MkdirAll(dir, 0o777); err != nil {
			return writeFileError(err)
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		if sparse(h) {
			break
		}
		return x.file(r, h)
	case tar.TypeDir:
		x.dirs = append(x.dirs, *h)
		return writeFileError(x.root.MkdirAll(name, 0o777))
	case tar.TypeSymlink:
		x.links = append(x.links, *h)
		return nil
	}
	return api.Errorf("cli.get", api.Invalid, fmt.Sprintf("the object holds something that is no file, folder or link: %q", h.Name))
}

// sparse reports whether a file's size is only claimed: a few bytes of archive
// would become a file of any size. No node sends such entries.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// localName is the cleaned name, or false when it could lead anywhere but below
// the folder.
func localName(name string) (string, bool) {
	clean := strings.TrimSuffix(name, "/")
	if len(clean) > api.MaxPath || strings.ContainsRune(clean, 0) {
		return "", false
	}
	for part := range strings.SplitSeq(clean, "/") {
		if part == "" || part == "." || part == ".." {
			return "", false
		}
	}
	return clean, filepath.IsLocal(filepath.FromSlash(clean))
}

// file writes one file under a temporary name and renames it into place.
func (x *extractor) file(r io.Reader, h *tar.Header) error {
	if !x.force {
		if _, err := x.root.Lstat(h.Name); err == nil {
			return existsError(h.Name)
		}
	}
	temp := path.Join(path.Dir(h.Name), tempName())
	f, err := x.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return writeFileError(err)
	}
	_, err = io.Copy(f, r)
	if err != nil {
		err = streamError(err)
	}
	err = errors.Join(err, writeFileError(f.Chmod(fs.FileMode(h.Mode)&0o777)), writeFileError(f.Close()))
	if err == nil {
		err = writeFileError(x.root.Rename(temp, h.Name))
	}
	if err != nil {
		_ = x.root.Remove(temp) // the first error is the one to tell
		return err
	}
	if h.ModTime.IsZero() {
		return nil
	}
	return writeFileError(x.root.Chtimes(h.Name, time.Now(), h.ModTime))
}

// finish makes the links and then gives folders their modes and times, deepest
// first, as a folder's own mode may forbid writing in it.
func (x *extractor) finish() error {
	for _, h := range x.links {
		if _, err := x.root.Lstat(h.Name); err == nil {
			if !x.force {
				return existsError(h.Name)
			}
			if err := x.root.Remove(h.Name); err != nil {
				return writeFileError(err)
			}
		}
		if err := x.root.Symlink(h.Linkname, h.Name); err != nil {
			return writeFileError(err)
		}
	}
	for i := len(x.dirs) - 1; i >= 0; i-- {
		h := x.dirs[i]
		if fi, err := x.root.Lstat(h.Name); err != nil || !fi.IsDir() {
			continue // a later entry replaced it
		}
		if err := x.root.Chmod(h.Name, fs.FileMode(h.Mode)&0o777|0o700); err != nil {
			return writeFileError(err)
		}
		if err := x.root.Chtimes(h.Name, time.Now(), h.ModTime); err != nil {
			return writeFileError(err)
		}
	}
	return nil
}

func tempName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails; it ends the process instead
	return ".inos-" + hex.EncodeToString(b[:])
}

func existsError(name string) error {
	return api.Errorf("cli.get", api.Exists, printable(name)+" exists already; choose another destination or add --force")
}

// streamError keeps the kind of an error of the transfer; anything else says
// that the archive is not one.
func streamError(err error) error {
	if api.KindOf(err) != api.Other {
		return err
	}
	return api.E("cli.get", api.Corrupt, err)
}

func writeFileError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return api.E("cli.get", api.Exists, err)
	case errors.Is(err, fs.ErrPermission):
		return api.E("cli.get", api.Denied, err)
	case isNoSpace(err):
		return api.E("cli.get", api.NoSpace, err)
	}
	return api.E("cli.get", api.Other, err)
}
