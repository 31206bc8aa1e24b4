package node

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"inos/kernel/api"
	"inos/kernel/chunk"
)

// open opens an object by its link, or for this node's own by the root alone.
func (n *Node) open(ctx context.Context, link api.Link) (*chunk.Object, error) {
	if link.Public() {
		if own, err := n.object(link.Root); err == nil {
			link = own.Link
		}
	}
	obj, err := chunk.Open(ctx, link, n.reader(link.Root))
	if err != nil {
		return nil, notHere(link, err)
	}
	return obj, nil
}

// Get sends a file's bytes or, with req.Tar, a tar stream.
func (n *Node) Get(ctx context.Context, req api.GetRequest, begin func(api.FileInfo) (io.Writer, error)) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.leave()
	if own, ok := n.ownBlock(req.Link.Root); ok {
		return n.getBlock(ctx, own, req, begin)
	}
	obj, err := n.open(ctx, req.Link)
	if err != nil {
		return err
	}
	defer n.metrics.gets.Add(1)
	if req.Tar {
		return n.getTar(ctx, obj, req.Path, begin)
	}
	e, err := obj.Lookup(ctx, req.Path)
	if err != nil {
		return err
	}
	if e.Kind != chunk.KindFile {
		return api.Errorf("node.get", api.Invalid, "this is a folder; ask for a tar stream, or name a file in it")
	}
	if req.Offset > e.Size {
		return api.Errorf("node.get", api.Invalid, fmt.Sprintf("the file has %d bytes; the range begins after its end", e.Size))
	}
	w, err := begin(n.fileInfo(obj, req.Path, e))
	if err != nil {
		return err
	}
	if req.Offset == 0 && req.Length == 0 {
		err := obj.ReadFile(ctx, e, w)
		if err == nil {
			n.tellCached(req.Link.Root)
		}
		return err
	}
	if req.Length == 0 {
		req.Length = e.Size - req.Offset
	}
	return obj.ReadRange(ctx, e, req.Offset, req.Length, w)
}

// getTar streams an object, or the part below a path, as tar.
func (n *Node) getTar(ctx context.Context, obj *chunk.Object, below string, begin func(api.FileInfo) (io.Writer, error)) error {
	info := api.FileInfo{Path: below, Name: path.Base("/" + below), Kind: api.FolderFile, Size: obj.Info().Size, Files: obj.Info().Entries}
	var keep func(chunk.Entry) bool
	if below != "" {
		e, err := obj.Lookup(ctx, below)
		if err != nil {
			return err
		}
		info = n.fileInfo(obj, below, e)
		keep = func(e chunk.Entry) bool { return e.Path == below || strings.HasPrefix(e.Path, below+"/") }
	}
	w, err := begin(info)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	err = obj.Extract(ctx, keep, func(e chunk.Entry) (io.WriteCloser, error) {
		name := e.Path
		if below != "" {
			name = strings.TrimPrefix(strings.TrimPrefix(e.Path, below), "/")
			if name == "" {
				if e.Kind == chunk.KindDir {
					return nil, nil
				}
				name = path.Base(e.Path)
			}
		}
		h := &tar.Header{Name: name, Mode: int64(e.Mode), ModTime: time.Unix(e.MTime, 0), Format: tar.FormatPAX}
		switch e.Kind {
		case chunk.KindDir:
			h.Typeflag, h.Name = tar.TypeDir, name+"/"
		case chunk.KindSymlink:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
		default:
			h.Typeflag, h.Size = tar.TypeReg, int64(e.Size)
		}
		if err := tw.WriteHeader(h); err != nil {
			return nil, api.E("node.get", api.Canceled, err)
		}
		if e.Kind != chunk.KindFile {
			return nil, nil
		}
		return keepOpen{tw}, nil
	})
	if err != nil {
		return err
	}
	return tw.Close()
}

// keepOpen lets Extract close each file without closing the archive.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// readObject writes one file of an object to w.
func readObject(ctx context.Context, obj *chunk.Object, path string, w io.Writer) error {
	e, err := obj.Lookup(ctx, path)
	if err != nil {
		return err
	}
	return obj.ReadFile(ctx, e, w)
}

func (n *Node) fileInfo(obj *chunk.Object, path string, e chunk.Entry) api.FileInfo {
	name := e.Path[strings.LastIndexByte(e.Path, '/')+1:]
	if name == "" {
		name = obj.Info().Name
	}
	fi := api.FileInfo{Path: path, Name: name, Size: e.Size, Mode: e.Mode, ModTime: e.MTime * 1000, Target: e.Target}
	switch e.Kind {
	case chunk.KindDir:
		fi.Kind = api.FolderFile
	case chunk.KindSymlink:
		fi.Kind = api.SymlinkFile
	default:
		fi.MediaType = mediaType(name, false)
	}
	return fi
}

// Stat describes one entry and, for a folder, a page of what it holds.
func (n *Node) Stat(ctx context.Context, req api.StatRequest) (api.Stat, error) {
	if own, ok := n.ownBlock(req.Link.Root); ok {
		return api.Stat{Link: own.Link, Info: blockInfo(own)}, nil
	}
	obj, err := n.open(ctx, req.Link)
	if err != nil {
		return api.Stat{}, err
	}
	out := api.Stat{Link: obj.Link()}
	info := obj.Info()
	below := strings.Trim(req.Path, "/")
	if !info.Folder || below != "" {
		e, err := obj.Lookup(ctx, below)
		if err != nil {
			return out, err
		}
		out.Info = n.fileInfo(obj, below, e)
		if e.Kind != chunk.KindDir {
			return out, nil
		}
	} else {
		out.Info = api.FileInfo{Name: info.Name, Kind: api.FolderFile, Size: info.Size, Mode: 0o755}
		if own, err := n.object(req.Link.Root); err == nil {
			out.Info.Name = own.Name
		}
	}
	out.Info.Size = 0
	limit := pageLimit(req.Limit)
	err = obj.Walk(ctx, func(e chunk.Entry) error {
		rest := e.Path
		if below != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(e.Path, below+"/"); !ok {
				return nil
			}
		}
		if e.Kind == chunk.KindFile {
			out.Info.Files++
			out.Info.Size += e.Size
		}
		if strings.Contains(rest, "/") || rest <= req.After && req.After != "" || out.Next != "" {
			return nil
		}
		if len(out.Entries) == limit {
			out.Next = out.Entries[limit-1].Name
			return nil
		}
		out.Entries = append(out.Entries, n.fileInfo(obj, e.Path, e))
		return nil
	})
	return out, err
}

// Holders asks every member which blocks of an object it has.
func (n *Node) Holders(ctx context.Context, link api.Link) (api.Holders, error) {
	out := api.Holders{Link: link, Wanted: api.DefaultCopies}
	if own, err := n.object(link.Root); err == nil {
		out.Link, out.Wanted = own.Link, own.Copies
	}
	var addrs []api.Address
	sizes := map[api.Address]int{}
	err := n.blocksOf(ctx, link, func(addr api.Address, size int) error {
		if _, dup := sizes[addr]; !dup {
			sizes[addr] = size
			addrs = append(addrs, addr)
			out.Bytes += uint64(size)
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	out.Blocks = uint64(len(addrs))
	copies := make([]uint8, len(addrs))
	for _, p := range n.peerRows() {
		if p.Roles == api.Edge && !p.Online {
			continue // a tab that is closed: it never counts as a keeper
		}
		h := api.Holder{Node: p.Node, Name: p.Name, Domain: p.Domain, Online: p.Online, Self: p.Self}
		if p.Online {
			if err := n.countHeld(ctx, &h, addrs, sizes, copies); err != nil {
				h.Online = false
			}
		}
		out.Holders = append(out.Holders, h)
	}
	out.Copies = ^uint8(0)
	for _, c := range copies {
		out.Copies = min(out.Copies, c)
		if c < out.Wanted {
			out.UnderReplicated++
		}
	}
	return out, nil
}

// blocksOf calls fn for every block of an object.
func (n *Node) blocksOf(ctx context.Context, link api.Link, fn func(api.Address, int) error) error {
	if own, ok := n.ownBlock(link.Root); ok {
		return fn(link.Root, int(own.Bytes))
	}
	obj, err := n.open(ctx, link)
	if err != nil {
		return err
	}
	return obj.Blocks(ctx, fn)
}

func (n *Node) countHeld(ctx context.Context, h *api.Holder, addrs []api.Address, sizes map[api.Address]int, copies []uint8) error {
	const page = 4096
	for i := 0; i < len(addrs); i += page {
		part := addrs[i:min(i+page, len(addrs))]
		has, err := n.hasOn(ctx, h.Node, part)
		if err != nil {
			return err
		}
		for j, ok := range has {
			if ok {
				h.Blocks++
				h.Bytes += uint64(sizes[part[j]])
				copies[i+j]++
			}
		}
	}
	return nil
}

// hasOn asks a member, or this node, which blocks it has.
func (n *Node) hasOn(ctx context.Context, node api.NodeID, addrs []api.Address) ([]bool, error) {
	if node == n.id.ID() {
		return n.store.Has(ctx, addrs)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return n.net.Has(ctx, node, addrs)
}
