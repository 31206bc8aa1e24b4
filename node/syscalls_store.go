package node

import (
	"bytes"
	"context"
	"io"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/syscall"
	"inos/kernel/wire"
)

// blockMedia is the media type of an object that is one block, kept as a module
// gave it: there is no manifest, and its address is the BLAKE3 of its bytes.
const blockMedia = "application/vnd.inos.block"

// Store implements syscall.Services. What is stored for another payer is his as a
// job's output is: he lists it and pays those who keep it.
func (s *syscalls) Store(ctx context.Context, c *syscall.Caller, q syscall.Store) (api.Link, error) {
	n := s.n
	key := s.keyOf(c)
	switch {
	case q.Public, q.Block:
		key = [32]byte{}
	case key == [32]byte{}: // the zero key seals nothing
		return api.Link{}, api.Errorf("node.storechunk", api.Invalid, "the payer sent no key to seal what the job stores")
	}
	put := content{PutRequest: api.PutRequest{Name: q.Name, Size: uint64(len(q.Data)), Policy: api.Policy{Public: key == [32]byte{}}}, block: q.Block}
	obj, receipts, err := n.putAs(ctx, c.Owner, key, put, bytes.NewReader(q.Data), func(api.Progress) {})
	if err != nil || c.Owner == n.id.ID() {
		return obj.Link, err
	}
	r := api.JobResult{
		ID: c.Job, Worker: n.id.ID(), Message: q.Name, Output: obj.Link, OutputSize: uint64(len(q.Data)),
		Receipts: receipts[:min(len(receipts), wire.MaxReceipts)],
	}
	if q.Block {
		r.MediaType = blockMedia
	}
	b, err := wire.EncodeResult(r)
	if err != nil {
		return api.Link{}, err
	}
	if _, err := n.net.Call(ctx, c.Owner, methodStored, b); err != nil {
		return api.Link{}, api.E("node.storechunk", api.Other, err)
	}
	return obj.Link, nil
}

// keyOf is the key that seals what a call stores: the payer sent it, or is this node,
// which derives it as for the job's output when it is needed.
func (s *syscalls) keyOf(c *syscall.Caller) [32]byte {
	if c.OutputKey == [32]byte{} && c.Owner == s.n.id.ID() {
		return s.n.id.OutputKey(api.ID(c.Seed[:16]))
	}
	return c.OutputKey
}

// Bounds of what a worker stores for a payer's job, as the worker's kernel holds
// them too.
const (
	maxStoredObjects = 64
	maxStoredJobs    = 4096
)

// handleStored lists what a module of this payer's job stored among its objects
// and pays those who keep it.
func (n *Node) handleStored(_ context.Context, from api.NodeID, req []byte) ([]byte, error) {
	const op = "node.stored"
	r, err := wire.DecodeResult(req)
	if err != nil {
		return nil, err
	}
	n.jobs.table.Lock()
	live := n.jobs.live[r.ID]
	var j api.Job
	if live != nil {
		j = *live
	}
	n.jobs.table.Unlock()
	switch {
	case live == nil || j.State.Final() || j.Result.Worker != from || r.Worker != from:
		return nil, api.Errorf(op, api.Denied, "no job of this payer runs there under that id")
	case r.Output.IsZero() || !syscall.ValidName(r.Message):
		return nil, api.Errorf(op, api.Invalid, "a stored object has a link and a name without slashes")
	}
	if _, err := n.object(r.Output.Root); api.KindOf(err) != api.NotFound { // stored before, perhaps by another attempt
		return nil, err
	}
	if err := n.syscalls.noteStored(r, j.Spec.Limits.WithDefaults().OutputBytes); err != nil {
		return nil, err
	}
	j.Result = r
	return nil, n.ownResult(j, r.Message)
}

// noteStored counts a stored object against the bounds of its job.
func (s *syscalls) noteStored(r api.JobResult, limit uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	by := s.stored[r.ID]
	if by.worker != r.Worker {
		by = storedBy{worker: r.Worker}
	}
	if by.objects >= maxStoredObjects || r.OutputSize > limit || by.bytes > limit-r.OutputSize {
		return api.Errorf("node.stored", api.Exhausted, "the job stored more objects or bytes than its limits allow")
	}
	if _, known := s.stored[r.ID]; !known && len(s.stored) >= maxStoredJobs {
		s.n.jobs.table.Lock()
		for id := range s.stored {
			if s.n.jobs.live[id] == nil {
				delete(s.stored, id)
			}
		}
		s.n.jobs.table.Unlock()
		if len(s.stored) >= maxStoredJobs {
			return api.Errorf("node.stored", api.Exhausted, "4,096 jobs of this payer are storing objects; wait for some to end")
		}
	}
	s.stored[r.ID] = storedBy{by.worker, by.objects + 1, by.bytes + r.OutputSize}
	return nil
}

// buildBlock sends the whole body as one block. The put keeps a copy: body may be
// a guest's memory.
func (n *Node) buildBlock(ctx context.Context, s *putSession, body *countingReader) (api.Object, error) {
	b, err := io.ReadAll(io.LimitReader(body, api.MaxBlock+1))
	if err != nil {
		return api.Object{}, api.E("node.put", api.Other, err)
	}
	if len(b) == 0 || len(b) > api.MaxBlock {
		return api.Object{}, api.Errorf("node.put", api.Invalid, "a block has 1 to 1,048,592 bytes")
	}
	addr := api.Address(blake3.Sum256(b))
	if err := s.sink(ctx, api.Block{Addr: addr, Data: b}); err != nil {
		return api.Object{}, err
	}
	size := uint64(len(b))
	return api.Object{Link: api.Link{Root: addr}, Files: 1, Bytes: size, Wire: size, Blocks: 1, MimeType: blockMedia}, nil
}

// ownBlock returns this node's object when it is one block.
func (n *Node) ownBlock(root api.Address) (api.Object, bool) {
	obj, err := n.object(root)
	return obj, err == nil && obj.MimeType == blockMedia
}

func blockInfo(obj api.Object) api.FileInfo {
	return api.FileInfo{Name: obj.Name, Size: obj.Bytes, MediaType: blockMedia, Mode: 0o644, ModTime: obj.Created}
}

// getBlock sends a range of one of this node's blocks.
func (n *Node) getBlock(ctx context.Context, obj api.Object, req api.GetRequest, begin func(api.FileInfo) (io.Writer, error)) error {
	const op = "node.get"
	if req.Tar || req.Path != "" {
		return api.Errorf(op, api.Invalid, "this is one block; it holds no files")
	}
	q := syscall.Fetch{Address: obj.Link.Root, Offset: req.Offset, Length: api.MaxBlock}
	if req.Length > 0 {
		q.Length = uint32(min(req.Length, api.MaxBlock))
	}
	data, _, err := n.syscalls.fetchBlock(ctx, q)
	if err != nil {
		return err
	}
	w, err := begin(blockInfo(obj))
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}
