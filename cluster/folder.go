package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"inos/kernel/api"
)

// PutFolder streams a folder's regular files to the node as tar.
func (n *Node) PutFolder(ctx context.Context, folder string, policy api.Policy) (api.Object, error) {
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(tarFolder(folder, pw)) }()
	obj, err := n.Client.Put(ctx, api.PutRequest{Name: filepath.Base(folder), Folder: true, Policy: policy}, pr, func(api.Progress) {})
	_ = pr.CloseWithError(io.ErrClosedPipe)
	return obj, err
}

func tarFolder(folder string, w io.Writer) error {
	tw := tar.NewWriter(w)
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return tarFile(tw, folder, path)
	})
	return errors.Join(err, tw.Close())
}

func tarFile(tw *tar.Writer, folder, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(folder, path)
	if err != nil {
		return err
	}
	h := &tar.Header{Name: filepath.ToSlash(rel), Typeflag: tar.TypeReg, Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: info.ModTime()}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(tw, f, info.Size())
	return err
}

// Verify reads a folder object back through the node and compares every file
// with the original. It returns how many were identical, and Corrupt for the
// first that was not.
func (n *Node) Verify(ctx context.Context, link api.Link, folder string) (int, error) {
	pr, pw := io.Pipe()
	go func() {
		err := n.Client.Get(ctx, api.GetRequest{Link: link, Tar: true}, func(api.FileInfo) (io.Writer, error) { return pw, nil })
		pw.CloseWithError(err)
	}()
	defer pr.Close()
	same := 0
	for tr := tar.NewReader(pr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return same, nil
		}
		if err != nil {
			return same, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := sameFile(tr, filepath.Join(folder, filepath.FromSlash(h.Name))); err != nil {
			return same, err
		}
		same++
	}
}

func sameFile(r io.Reader, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return api.E("cluster.verify", api.NotFound, err)
	}
	defer f.Close()
	got, want := make([]byte, 256<<10), make([]byte, 256<<10)
	for {
		n, err := io.ReadFull(r, got)
		m, err2 := io.ReadFull(f, want)
		if !bytes.Equal(got[:n], want[:m]) {
			return api.Errorf("cluster.verify", api.Corrupt, fmt.Sprintf("%s came back changed", path))
		}
		if err != nil || err2 != nil {
			if ended(err) && ended(err2) {
				return nil
			}
			return errors.Join(err, err2)
		}
	}
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
