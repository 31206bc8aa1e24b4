package chunk

import (
	"context"
	"io"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// ReadFile writes the content of e, an entry of this object, to w. Blocks are
// fetched ahead and verified; w receives only verified bytes, in order.
// Invalid if e is not a file.
func (o *Object) ReadFile(ctx context.Context, e Entry, w io.Writer) error {
	return o.ReadRange(ctx, e, 0, e.Size, w)
}

// ReadRange writes n bytes of e's content from off to w, or fewer where the
// file ends. It fetches only the chunks that overlap.
func (o *Object) ReadRange(ctx context.Context, e Entry, off, n uint64, w io.Writer) error {
	const op = "chunk.readrange"
	if e.Kind != KindFile {
		return api.Errorf(op, api.Invalid, "only files have content; "+quote(e.Path)+" is not a file")
	}
	off = min(off, e.Size)
	end := off + min(n, e.Size-off)
	plan := func(ctx context.Context, emit func(*item) error) error {
		return o.planChunks(ctx, &e, off, end, emit)
	}
	written := off
	err := stream(ctx, o.fetch, plan, func(it *item) error {
		lo := max(off, it.at) - it.at
		hi := min(end, it.at+uint64(len(it.data))) - it.at
		written += hi - lo
		_, err := w.Write(it.data[lo:hi])
		return err
	})
	if err == nil && written != end {
		err = api.Errorf(op, api.Corrupt, "the file is shorter than its entry states")
	}
	return err
}

func (o *Object) planChunks(ctx context.Context, e *Entry, off, end uint64, emit func(*item) error) error {
	return o.chunks(ctx, e, off, end, func(at uint64, ref *wire.Ref) error {
		return emit(&item{ref: ref, at: at})
	})
}

// Extract brings the whole object, or the entries that keep accepts (nil: all),
// in the order of Walk. For each it calls create; for a file, create returns
// where the content goes, or nil to discard it, and Extract closes that after
// the last byte. For folders and symbolic links what create returns is closed
// at once. Blocks are fetched ahead across files within a bounded window, so
// many small files cost few requests; keep runs ahead of create for the same
// reason, on another goroutine.
//
// On an error the open writer is closed and the error returned; what was
// closed before is complete and verified.
func (o *Object) Extract(ctx context.Context, keep func(Entry) bool, create func(Entry) (io.WriteCloser, error)) error {
	plan := func(ctx context.Context, emit func(*item) error) error {
		return o.Walk(ctx, func(e Entry) error {
			if keep != nil && !keep(e) {
				return nil
			}
			if err := emit(&item{open: &e}); err != nil {
				return err
			}
			if err := o.planChunks(ctx, &e, 0, e.Size, emit); err != nil {
				return err
			}
			return emit(&item{end: true})
		})
	}
	x := extraction{create: create}
	err := stream(ctx, o.fetch, plan, x.step)
	if err != nil && x.out != nil {
		_ = x.out.Close() // the first error is the one that matters
	}
	return err
}

// extraction writes one entry after the other.
type extraction struct {
	create func(Entry) (io.WriteCloser, error)
	entry  *Entry
	out    io.WriteCloser // of the open entry; nil discards
	size   uint64         // bytes of the open entry so far
}

func (x *extraction) step(it *item) (err error) {
	switch {
	case it.open != nil:
		x.entry, x.size = it.open, 0
		x.out, err = x.create(*it.open)
	case it.end:
		if x.size != x.entry.Size {
			return api.Errorf("chunk.extract", api.Corrupt, "the file "+quote(x.entry.Path)+" is shorter than its entry states")
		}
		if out := x.out; out != nil {
			x.out = nil
			err = out.Close()
		}
	default:
		x.size += uint64(len(it.data))
		if x.out != nil {
			_, err = x.out.Write(it.data)
		}
	}
	return err
}
