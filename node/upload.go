package node

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"inos/kernel/api"
	"inos/kernel/chunk"
)

// Put stores a file or, from a tar stream, a folder, and returns once the
// policy's receipts are in.
func (n *Node) Put(ctx context.Context, req api.PutRequest, body io.Reader, progress func(api.Progress)) (api.Object, error) {
	if err := n.enter(); err != nil {
		return api.Object{}, err
	}
	defer n.leave()
	namespace := n.id.NamespaceKey()
	if req.Policy.Public {
		namespace = [32]byte{}
	}
	report := func(p api.Progress) {
		p.TotalBytes, p.TotalFiles = req.Size, req.Files
		progress(p)
	}
	obj, _, err := n.putAs(ctx, n.id.ID(), namespace, content{PutRequest: req}, body, report)
	if err != nil {
		n.metrics.putsFailed.Add(1)
		return obj, err
	}
	n.metrics.puts.Add(1)
	return obj, nil
}

// content is what a put stores: a request of the owner, or a job's output.
type content struct {
	api.PutRequest
	method string // whose output it is, where this node pays for the job
	block  bool   // the body is one block
}

// putAs stores body in a lease of owner, sealed under namespace, and records
// the object when this node is the owner. For another owner it returns the
// receipts, at most maxReceipts, which that owner pays. The last report was made
// when it returns.
func (n *Node) putAs(ctx context.Context, owner api.NodeID, namespace [32]byte, req content, body io.Reader, report func(api.Progress)) (api.Object, []api.Receipt, error) {
	policy, err := checkPolicy(req.Policy)
	if err != nil {
		return api.Object{}, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	id := api.RandomID()
	s := n.beginPut(provisionalLease(n.id.ID(), id), id, policy, report)
	defer s.close()
	defer context.AfterFunc(ctx, func() { s.mu.Lock(); s.room.Broadcast(); s.mu.Unlock() })()

	counted := &countingReader{r: body, s: s}
	obj, err := n.build(ctx, s, namespace, req, counted)
	if err != nil {
		return api.Object{}, nil, s.cause(err)
	}
	obj.Name, obj.Folder, obj.Method = req.Name, req.Folder, req.method
	obj.Copies, obj.Created, obj.Until = policy.Copies, time.Now().UnixMilli(), policy.Until
	if owner == n.id.ID() {
		obj, err = n.keepOwn(ctx, s, obj)
		return obj, nil, err
	}
	done, err := s.commit(ctx, leaseID(owner, obj.Link.Root), leaseOn(obj, owner))
	if err != nil {
		return api.Object{}, nil, err
	}
	obj.Acks = done.Acks
	n.spawn(func() { n.announce(obj.Link.Root) })
	_, receipts := s.earned(done.Holders)
	return obj, receipts, nil
}

func leaseOn(obj api.Object, owner api.NodeID) api.Lease {
	return api.Lease{Owner: owner, Root: obj.Link.Root, Copies: obj.Copies, Until: obj.Until}
}

// keepOwn commits a put of this node's own and records the object.
func (n *Node) keepOwn(ctx context.Context, s *putSession, obj api.Object) (api.Object, error) {
	unlock, err := n.lockObject(ctx, obj.Link.Root)
	if err != nil {
		return api.Object{}, err
	}
	defer unlock()
	final := leaseID(n.id.ID(), obj.Link.Root)
	waited, err := n.unrelease(final)
	if err != nil {
		return api.Object{}, err
	}
	done, err := s.commit(ctx, final, leaseOn(obj, n.id.ID()))
	if err != nil {
		n.rerelease(final, waited)
		return api.Object{}, err
	}
	obj.Acks = done.Acks
	n.spawn(func() { n.announce(obj.Link.Root) })
	paid, _ := s.earned(done.Holders)
	return n.record(obj, final, paid)
}

// cause prefers the put's own verdict to the broken pipe it led to.
func (s *putSession) cause(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over && s.result.Err != nil {
		return s.result.Err
	}
	return err
}

// build sends the blocks of what body holds and returns the object that they make.
func (n *Node) build(ctx context.Context, s *putSession, namespace [32]byte, req content, body *countingReader) (api.Object, error) {
	if req.block {
		return n.buildBlock(ctx, s, body)
	}
	built, err := n.buildChunks(ctx, s, namespace, req.PutRequest, body)
	return api.Object{
		Link: built.Link, Files: built.Files, Bytes: built.Bytes, Wire: built.Wire, Blocks: built.Blocks, MimeType: mediaType(req.Name, req.Folder),
	}, err
}

func (n *Node) buildChunks(ctx context.Context, s *putSession, namespace [32]byte, req api.PutRequest, body *countingReader) (chunk.Result, error) {
	opts := chunk.Options{Namespace: namespace, Workers: n.cfg.Workers}
	if !req.Folder {
		body.file()
		return chunk.BuildFile(ctx, opts, s.sink, req.Name, body)
	}
	b := chunk.NewBuilder(ctx, opts, s.sink)
	if err := addTar(ctx, b, body); err != nil {
		_, _ = b.Finish(ctx)
		return chunk.Result{}, err
	}
	return b.Finish(ctx)
}

// addTar feeds a tar stream to a builder. Anything but files, folders and
// symbolic links is refused by name.
func addTar(ctx context.Context, b *chunk.Builder, body *countingReader) error {
	const op = "node.put"
	tr := tar.NewReader(body)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return api.E(op, kindOr(err, api.Invalid), err)
		}
		name := strings.Trim(path.Clean("/"+h.Name), "/")
		mode, mtime := uint32(h.Mode)&0o777, h.ModTime.Unix()
		switch h.Typeflag {
		case tar.TypeDir:
			if name != "" {
				err = b.AddDir(ctx, name, mode, mtime)
			}
		case tar.TypeReg:
			body.file()
			err = b.AddFile(ctx, name, mode, mtime, tr)
		case tar.TypeSymlink:
			err = b.AddSymlink(ctx, name, h.Linkname, mtime)
		default:
			err = api.Errorf(op, api.Invalid, fmt.Sprintf("%q is neither a file, a folder nor a symbolic link", h.Name))
		}
		if err != nil {
			return err
		}
	}
}

// kindOr returns err's kind, or k when it has none.
func kindOr(err error, k api.Kind) api.Kind {
	if own := api.KindOf(err); own != api.Other {
		return own
	}
	return k
}

// countingReader reports how much of a put's body was consumed.
type countingReader struct {
	r io.Reader
	s *putSession
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.s.mu.Lock()
	c.s.progress.Bytes += uint64(n)
	c.s.mu.Unlock()
	return n, err
}

func (c *countingReader) file() {
	c.s.mu.Lock()
	c.s.progress.Files++
	c.s.mu.Unlock()
}

func checkPolicy(p api.Policy) (api.Policy, error) {
	const op = "node.put"
	if p.Copies == 0 {
		p.Copies = api.DefaultCopies
	}
	if p.Copies > api.MaxCopies {
		return p, api.Errorf(op, api.Invalid, fmt.Sprintf("at most %d copies can be kept", api.MaxCopies))
	}
	if p.MinAcks > p.Copies {
		return p, api.Errorf(op, api.Invalid, "more receipts are wanted than copies")
	}
	if p.Until != 0 && p.Until <= time.Now().Unix() {
		return p, api.Errorf(op, api.Invalid, "the time to keep it until has passed")
	}
	return p, nil
}
