package chunk

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Bounds of reading ahead.
const (
	readWindow   = 64 << 20 // bytes fetched and not yet consumed, wire and plaintext
	readItems    = 1024     // items fetched and not yet consumed
	fetchBatch   = 256      // blocks of one request
	fetchBytes   = 16 << 20 // wire bytes of one request
	fetchStreams = 4        // requests under way
)

// item is one step of a reading plan: a block to fetch, or a mark between
// blocks (ref is nil) that reaches the consumer in its place.
type item struct {
	ref  *wire.Ref
	at   uint64 // where the chunk begins in its file
	open *Entry // mark: this entry begins
	end  bool   // mark: the entry ends

	data []byte        // plaintext, valid when done is closed
	done chan struct{} // closed when data is there
}

func (it *item) weight() int64 {
	w := int64(it.ref.Wire)
	if it.ref.Encoding == wire.EncodingBrotli {
		w += int64(it.ref.Plain)
	}
	return w
}

// pipeline fetches the blocks of a plan ahead of their use. One goroutine
// produces the plan, up to fetchStreams fetch, workers decode, and the caller
// consumes in the order of the plan.
//
// A request takes all that is waiting, up to its bounds. So the first block is
// asked for alone and at once, and a fetcher that falls behind gets fewer and
// larger requests.
type pipeline struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	fetch  api.Fetcher
	window *semaphore.Weighted // readWindow
	decode *semaphore.Weighted // GOMAXPROCS
	order  chan *item          // readItems
	tasks  sync.WaitGroup

	mu      sync.Mutex
	waiting []*item // guarded by mu; at most readItems
	streams int     // guarded by mu; requests under way
}

// stream runs plan, which calls emit for each item in order, and consume for
// each item in the same order, with data filled in. It returns the first error.
func stream(ctx context.Context, f api.Fetcher, plan func(ctx context.Context, emit func(*item) error) error, consume func(*item) error) error {
	p := &pipeline{
		fetch:  f,
		window: semaphore.NewWeighted(readWindow),
		decode: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))),
		order:  make(chan *item, readItems),
	}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	defer p.tasks.Wait()
	defer p.cancel(nil)
	p.tasks.Go(func() {
		defer close(p.order)
		p.fail(plan(p.ctx, p.emit))
	})
	for it := range p.order {
		if err := p.await(it); err != nil {
			return err
		}
		err := consume(it)
		if it.ref != nil {
			recycle(it.data)
			p.window.Release(it.weight())
		}
		if err != nil {
			p.cancel(err)
			return err
		}
	}
	return p.err()
}

func (p *pipeline) fail(err error) {
	if err != nil {
		p.cancel(err)
	}
}

func (p *pipeline) err() error {
	if p.ctx.Err() == nil {
		return nil
	}
	return api.E("chunk.read", api.Other, context.Cause(p.ctx))
}

func (p *pipeline) await(it *item) error {
	if it.ref == nil {
		return p.err()
	}
	select {
	case <-it.done:
		return nil
	case <-p.ctx.Done():
		return p.err()
	}
}

func (p *pipeline) emit(it *item) error {
	if it.ref != nil {
		if err := p.window.Acquire(p.ctx, it.weight()); err != nil {
			return p.err()
		}
		it.done = make(chan struct{})
	}
	select {
	case p.order <- it:
	case <-p.ctx.Done():
		return p.err()
	}
	if it.ref == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, it)
	if p.streams < fetchStreams {
		p.streams++
		p.tasks.Go(p.fetchAll)
	}
	return nil
}

// fetchAll makes requests until nothing is waiting.
func (p *pipeline) fetchAll() {
	for batch := p.take(); batch != nil; batch = p.take() {
		if err := p.request(batch); err != nil {
			p.fail(err)
			return
		}
	}
}

// take removes the next batch, or ends the caller's stream when there is none.
func (p *pipeline) take() []*item {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, bytes := 0, 0
	for n < len(p.waiting) && n < fetchBatch && bytes < fetchBytes {
		bytes += int(p.waiting[n].ref.Wire)
		n++
	}
	if n == 0 || p.ctx.Err() != nil {
		p.streams--
		return nil
	}
	batch := p.waiting[:n:n]
	p.waiting = p.waiting[n:]
	return batch
}

// request fetches one batch. The items of a block may be many, because content
// repeats; each gets its own plaintext.
func (p *pipeline) request(batch []*item) error {
	want := make(map[api.Address][]*item, len(batch))
	addrs := make([]api.Address, 0, len(batch))
	for _, it := range batch {
		if want[it.ref.Addr] == nil {
			addrs = append(addrs, it.ref.Addr)
		}
		want[it.ref.Addr] = append(want[it.ref.Addr], it)
	}
	err := p.fetch.Fetch(p.ctx, addrs, func(addr api.Address, data []byte) error {
		for _, it := range want[addr] {
			if err := p.received(it, data); err != nil {
				return err
			}
		}
		delete(want, addr)
		return nil
	})
	if err != nil {
		return api.E("chunk.fetch", api.Other, err)
	}
	for addr := range want {
		return api.Errorf("chunk.fetch", api.Unavailable, "no holder served the block "+addr.String())
	}
	return nil
}

// received copies the block, which belongs to the fetcher, and decodes it on
// another goroutine. The copy costs a tenth of the decoding it moves away.
func (p *pipeline) received(it *item, data []byte) error {
	if len(data) != int(it.ref.Wire) {
		return wrongSize(it.ref)
	}
	if err := p.decode.Acquire(p.ctx, 1); err != nil {
		return p.err()
	}
	block := blockBuffer(len(data))
	copy(block, data)
	p.tasks.Go(func() {
		defer p.decode.Release(1)
		plain, err := open(it.ref, block)
		if err != nil {
			p.fail(err)
			return
		}
		it.data = plain
		close(it.done)
	})
	return nil
}

// open decodes block, which it owns, into a buffer that recycle accepts.
func open(ref *wire.Ref, block []byte) ([]byte, error) {
	if ref.Encoding == wire.EncodingRaw {
		return decode(ref, block, nil)
	}
	defer recycle(block)
	return decode(ref, block, blockBuffer(int(ref.Plain)))
}
