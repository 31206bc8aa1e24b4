package disk

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"

	"inos/kernel/api"
)

// groupBytes bounds the small-block bytes of one commit.
const groupBytes = 16 << 20

// group collects Puts whose blocks are staged. While there are any, one
// goroutine commits all that wait in one synced batch after the other.
type group struct {
	mu      sync.Mutex
	waiting []*put // guarded by mu; at most one per caller of Put
	led     bool   // guarded by mu; a goroutine is committing
}

// join queues p for the next commit, whose outcome p.done receives.
func (s *Store) join(p *put) {
	g := &s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, p)
	if !g.led {
		g.led = true
		go s.lead()
	}
}

// lead commits until nothing waits. Whoever waits is inside Put, so Close
// cannot overtake it.
func (s *Store) lead() {
	g := &s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.waiting) > 0 {
		batch := g.take()
		g.mu.Unlock()
		s.commitPuts(batch)
		g.mu.Lock()
	}
	g.led = false
}

// take removes the Puts of the next commit: at least one, at most groupBytes.
// The caller holds g.mu.
func (g *group) take() []*put {
	n, bytes, blocks := 0, 0, 0
	for n < len(g.waiting) && bytes < groupBytes && blocks < MaxPut {
		for i := range g.waiting[n].blocks {
			if in := &g.waiting[n].blocks[i]; in.temp == "" && !in.present {
				bytes += len(in.Data)
			}
		}
		blocks += len(g.waiting[n].blocks)
		n++
	}
	batch := g.waiting[:n:n]
	g.waiting = append([]*put(nil), g.waiting[n:]...)
	return batch
}

// commitPuts commits a group and then answers each of its Puts.
func (s *Store) commitPuts(puts []*put) {
	outcome := make([]error, len(puts))
	defer func() { // last, when nothing of the store is in use any more
		for i, p := range puts {
			p.done <- outcome[i]
		}
	}()
	s.commit.Lock()
	defer s.commit.Unlock()
	c := s.change()
	defer c.close()
	for i, p := range puts {
		outcome[i] = c.addPut(p) // c holds nothing of a Put that fails
	}
	err := c.apply()
	for i := range outcome {
		if outcome[i] == nil {
			outcome[i] = err
		}
	}
}

// change is one batch of record changes with their effect on the totals and
// the lease tables, which take place when it is applied. The caller of
// Store.change holds Store.commit until close.
type change struct {
	s      *Store
	batch  *pebble.Batch
	added  map[api.Address]record
	gone   map[api.Address]record
	leases map[api.LeaseID]uint64 // spans made by this change
	dirs   map[byte]bool          // folders with renamed files
	blocks int64
	bytes  int64
}

func (s *Store) change() *change {
	return &change{
		s: s, batch: s.db.NewBatch(), added: map[api.Address]record{}, gone: map[api.Address]record{},
		leases: map[api.LeaseID]uint64{}, dirs: map[byte]bool{},
	}
}

func (c *change) close() { _ = c.batch.Close() } // an applied or dropped batch has nothing to report

// addPut adds a Put, or nothing of it when it fails. Files are renamed before
// the batch is applied; if that fails they are orphans, which nobody reads.
func (c *change) addPut(p *put) error {
	for i := range p.blocks {
		in := &p.blocks[i]
		if !in.present {
			continue
		}
		if _, ok, err := c.s.record(in.Addr); err != nil {
			return err
		} else if !ok {
			return errVanished
		}
	}
	for i := range p.blocks {
		in := &p.blocks[i]
		if in.temp == "" {
			continue
		}
		if err := os.Rename(in.temp, c.s.blockPath(in.Addr)); err != nil {
			return err
		}
		in.temp = ""
		c.dirs[in.Addr[0]] = true
	}
	span, err := c.span(p.lease)
	if err != nil {
		return err
	}
	for i := range p.blocks {
		in := &p.blocks[i]
		if !in.present {
			c.addBlock(&in.Block)
		}
		c.set(memberKey(span, in.Addr), nil)
		c.set(refKey(in.Addr, span), nil)
	}
	return nil
}

// addBlock adds a block's record, and its bytes if it is small. A block that
// another Put brought meanwhile is written again, to the same bytes, and not
// counted again.
func (c *change) addBlock(b *api.Block) {
	r := record{inFile, len(b.Data)}
	if len(b.Data) < api.LargeBlock {
		r.place = inPebble
		c.set(dataKey(b.Addr), b.Data)
	}
	c.set(blockKey(b.Addr), r.bytes())
	if _, twice := c.added[b.Addr]; twice {
		return
	}
	c.added[b.Addr] = r
	if _, had, err := c.s.record(b.Addr); err == nil && !had {
		c.blocks++
		c.bytes += int64(r.size)
	}
}

// removeBlock drops a block's record and bytes in Pebble.
func (c *change) removeBlock(a api.Address, r record) {
	c.del(blockKey(a))
	if r.place == inPebble {
		c.del(dataKey(a))
	}
	c.gone[a] = r
	c.blocks--
	c.bytes -= int64(r.size)
}

// set and del cannot fail: a batch grows in memory.
func (c *change) set(k, v []byte) { _ = c.batch.Set(k, v, nil) }
func (c *change) del(k []byte)    { _ = c.batch.Delete(k, nil) }

// apply makes the change durable and then visible in the tables.
func (c *change) apply() error {
	if c.batch.Empty() {
		return nil
	}
	if err := c.syncDirs(); err != nil {
		return err
	}
	c.s.mu.Lock()
	blocks, bytes := c.s.usage.Blocks+uint64(c.blocks), c.s.usage.Bytes+uint64(c.bytes)
	c.s.mu.Unlock()
	if c.blocks != 0 {
		c.set([]byte{keyTotals}, binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, blocks), bytes))
	}
	if err := c.batch.Commit(c.s.write); err != nil {
		return errors.Join(errors.New("the metadata could not be written"), err)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.usage.Blocks, c.s.usage.Bytes = blocks, bytes
	for lease, span := range c.leases {
		c.s.spans[lease] = append(c.s.spans[lease], span)
		c.s.owners[span] = lease
	}
	return nil
}

// syncDirs makes the renames durable. Several at once share the file system's
// journal commits.
func (c *change) syncDirs() error {
	if c.s.opt.NoSync {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(writers)
	for d := range c.dirs {
		g.Go(func() error { return syncDir(c.s.blockDir(d)) })
	}
	return g.Wait()
}

// span returns the span that a lease's new blocks join, making one if need be.
func (c *change) span(lease api.LeaseID) (uint64, error) {
	if id, ok := c.leases[lease]; ok {
		return id, nil
	}
	c.s.mu.Lock()
	have := c.s.spans[lease]
	n := len(c.s.spans)
	c.s.mu.Unlock()
	if len(have) > 0 {
		return have[0], nil
	}
	if n+len(c.leases) >= MaxLeases {
		return 0, api.Errorf("disk.lease", api.Exhausted, "this node holds a million leases; release some")
	}
	id := c.s.nextID
	c.s.nextID++
	c.leases[lease] = id
	c.set(leaseKey(lease, id), nil)
	return id, nil
}
