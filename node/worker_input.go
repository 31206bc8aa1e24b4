package node

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/chunk"
	"inos/kernel/module"
)

// jobInput is a job's input in memory: private, or a span of the arena that is
// lent to the guest.
type jobInput struct {
	name string
	data []byte       // nil when it is lent
	loan *module.Loan // nil when it is not
	done func()       // gives the memory back; the guest has ended
}

// Bounds of the arena memory that inputs lie in.
const (
	lentShare = 2               // they take at most this part of the arena: the rest is for states, residents and attached processes
	lentRest  = 5 * time.Second // then memory that no input lies in goes back to the system
)

// lentInputs is the arena memory of inputs. That of the last one is kept for the next
// for a while: its pages are warm, and taking fresh ones costs more than a copy saves.
type lentInputs struct {
	m     *memory
	owner arena.Owner

	mu     sync.Mutex
	rest   time.Duration // guarded by mu
	spare  arena.Span    // guarded by mu; Len 0: none
	timer  *time.Timer   // guarded by mu; gives spare back
	closed bool          // guarded by mu; the arena may be gone
}

func openInputs(m *memory) *lentInputs {
	l := &lentInputs{m: m, owner: m.arena.NewOwner(), rest: lentRest}
	m.arena.Heap().SetLimit(l.owner, uint64(len(m.region.Bytes()))/lentShare)
	return l
}

// take finds memory for size bytes; false when there is no room. What lies in it is
// of this owner's inputs.
func (l *lentInputs) take(size uint64) (arena.Span, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return arena.Span{}, false
	}
	span := l.spare
	l.spare = arena.Span{}
	if span.Len >= size && span.Len/4 < size {
		return span, true
	}
	l.drop(span)
	span, err := l.m.arena.Heap().Alloc(l.owner, size)
	return span, err == nil
}

// give takes memory back once its guest has ended.
func (l *lentInputs) give(span arena.Span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.drop(l.spare)
	l.spare = span
	if l.timer == nil {
		l.timer = time.AfterFunc(l.rest, l.relax)
	} else {
		l.timer.Reset(l.rest)
	}
}

// relax gives back what was not used for a while.
func (l *lentInputs) relax() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.drop(l.spare)
		l.spare = arena.Span{}
	}
}

// drop gives memory back to the system and to the heap, in this order: nobody else has
// it yet. mu is held.
func (l *lentInputs) drop(span arena.Span) {
	if span.Len > 0 {
		l.m.region.discard(span)
		_ = l.m.arena.Heap().Free(l.owner, span.Off) // fails only with the arena itself
	}
}

func (l *lentInputs) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
}

// input reads the whole input into memory; it is bounded by api.MaxInput, and
// all inputs together by maxInputs. One that the guest takes in a window is read
// into the arena, from where it is mapped instead of copied, while there is room.
func (w *worker) input(ctx context.Context, spec api.JobSpec, m module.Module) (*jobInput, error) {
	const op = "node.work"
	obj, err := chunk.Open(ctx, spec.Input, w.n.reader(spec.Input.Root))
	if err != nil {
		return nil, notHere(spec.Input, err)
	}
	info := obj.Info()
	in, size := &jobInput{name: info.Name}, info.Size
	if spec.InputPath != "" {
		e, err := obj.Lookup(ctx, spec.InputPath)
		if err != nil {
			return nil, err
		}
		size, in.name = e.Size, spec.InputPath[strings.LastIndexByte(spec.InputPath, '/')+1:]
	} else if info.Folder {
		return nil, api.Errorf(op, api.Invalid, "the input is a folder; name a file in it")
	}
	if size > api.MaxInput {
		return nil, api.Errorf(op, api.Invalid, "an input has at most 256 MiB")
	}
	if err := w.inputs.Acquire(ctx, int64(size)); err != nil {
		return nil, api.E(op, api.Other, err)
	}
	into := w.place(in, size, m)
	b := bytes.NewBuffer(into[:0])
	if err := readObject(ctx, obj, spec.InputPath, b); err != nil {
		in.done()
		return nil, err
	}
	if in.loan == nil {
		in.data = b.Bytes()
	}
	return in, nil
}

// place finds memory for an input of size bytes of m.
func (w *worker) place(in *jobInput, size uint64, m module.Module) []byte {
	if _, lends := m.(module.Lender); lends && m.Description().Windows && size >= module.WindowInput {
		if span, ok := w.lent.take(size); ok {
			in.loan = &module.Loan{Off: span.Off, Len: size}
			in.done = func() {
				w.lent.give(span)
				w.inputs.Release(int64(size))
			}
			return w.n.memory.arena.Heap().Bytes(span)[:size:size]
		}
	}
	in.done = func() { w.inputs.Release(int64(size)) }
	return make([]byte, 0, size)
}
