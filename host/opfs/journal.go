package opfs

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"inos/kernel/api"
)

// The log's sizes. A frame holds the ops of one commit; the largest is a batch
// of records.
const (
	version      = 1
	headerBytes  = 32
	frameHead    = 8
	maxFrame     = 16 << 20 // ops of one frame, bytes
	snapshotPart = 256 << 10
	logSlack     = 4 << 20 // a log may grow by this and by its snapshot's size before the next
	writeBuffer  = 1 << 20
)

var (
	magic = [8]byte{'i', 'n', 'o', 's', ' ', 't', 'a', 'b'}
	table = crc32.MakeTable(crc32.Castagnoli)
)

// errBroken is why a store takes no changes any more.
var errBroken = errors.New("the store's log could not be restored after a failed write; reload the tab")

// journal is the current log file and where its next frame goes.
type journal struct {
	files  [2]file
	cur    int
	gen    uint64 // of the current file; the other's is lower or none
	seq    uint64 // of the next frame
	end    int64  // where it goes
	base   int64  // the end of the snapshot
	slack  int64  // logSlack; less in tests
	lazy   bool   // frames were written that are not flushed
	broken bool
}

// header returns the first bytes of a log of the given generation.
func header(gen uint64) []byte {
	h := make([]byte, 0, headerBytes)
	h = append(h, magic[:]...)
	h = binary.LittleEndian.AppendUint32(h, version)
	h = binary.LittleEndian.AppendUint32(h, 0)
	h = binary.LittleEndian.AppendUint64(h, gen)
	h = binary.LittleEndian.AppendUint32(h, crc32.Checksum(h, table))
	return append(h, 0, 0, 0, 0)
}

// checksum covers a frame's place as well: no frame counts at another one.
func checksum(gen, seq uint64, ops []byte) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], gen)
	binary.LittleEndian.PutUint64(place[8:], seq)
	return crc32.Update(crc32.Checksum(place[:], table), table, ops)
}

func appendFrame(b []byte, gen, seq uint64, ops []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ops)))
	b = binary.LittleEndian.AppendUint32(b, checksum(gen, seq, ops))
	return append(b, ops...)
}

// append writes frames, each the ops of one commit, and makes them durable unless
// lazy. After an error the log is as it was, or broken.
func (j *journal) append(frames [][]byte, lazy bool) error {
	if j.broken {
		return errBroken
	}
	var b []byte
	for i, ops := range frames {
		b = appendFrame(b, j.gen, j.seq+uint64(i), ops)
	}
	f := j.files[j.cur]
	err := f.WriteAt(b, j.end)
	if err == nil && !lazy {
		err = f.Flush()
	}
	if err != nil {
		if e := errors.Join(f.Truncate(j.end), f.Flush()); e != nil {
			j.broken = true
		}
		return err
	}
	j.end += int64(len(b))
	j.seq += uint64(len(frames))
	j.lazy = lazy
	return nil
}

// flush makes lazy frames durable.
func (j *journal) flush() error {
	if !j.lazy {
		return nil
	}
	if err := j.files[j.cur].Flush(); err != nil {
		return err
	}
	j.lazy = false
	return nil
}

// full says that the next snapshot is due.
func (j *journal) full() bool { return j.end-j.base > j.slack+(j.base-headerBytes) }

// snapshot writes the state into the other file and makes it the current one.
// After an error the current one goes on, or the journal is broken.
func (j *journal) snapshot(s *state) error {
	if j.broken {
		return errBroken
	}
	w := snapshotWriter{file: j.files[1-j.cur], gen: j.gen + 1}
	if err := w.write(s); err != nil {
		// Half a snapshot counts for nothing, but one that only its flush failed may
		// be whole: it would hide what the current log takes from here on.
		if e := errors.Join(w.file.Truncate(0), w.file.Flush()); e != nil {
			j.broken = true
		}
		return err
	}
	old := j.files[j.cur]
	j.cur, j.gen, j.seq, j.end, j.base, j.lazy = 1-j.cur, w.gen, w.seq, w.end, w.end, false
	_ = old.Truncate(0) // the higher generation counts either way
	return nil
}

// snapshotWriter writes one log file from its start.
type snapshotWriter struct {
	file file
	gen  uint64
	seq  uint64
	end  int64
	buf  []byte
	ops  []byte // of the frame being made
	n    uint64 // ops so far
}

func (w *snapshotWriter) write(s *state) error {
	if err := w.file.Truncate(0); err != nil {
		return err
	}
	w.buf = header(w.gen)
	err := s.each(func(o *change) error {
		w.ops = appendOp(w.ops, o)
		w.n++
		if len(w.ops) >= snapshotPart {
			return w.frame()
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.ops = appendOp(w.ops, &change{kind: opEnd, count: w.n})
	if err := w.frame(); err != nil {
		return err
	}
	if err := w.drain(); err != nil {
		return err
	}
	return w.file.Flush()
}

func (w *snapshotWriter) frame() error {
	w.buf = appendFrame(w.buf, w.gen, w.seq, w.ops)
	w.seq++
	w.ops = w.ops[:0]
	if len(w.buf) >= writeBuffer {
		return w.drain()
	}
	return nil
}

func (w *snapshotWriter) drain() error {
	if err := w.file.WriteAt(w.buf, w.end); err != nil {
		return err
	}
	w.end += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// each yields ops that make the state from nothing: blocks before the leases
// that name them, the cache's from its oldest to its newest.
func (s *state) each(yield func(*change) error) (err error) {
	do := func(o change) bool {
		err = yield(&o)
		return err == nil
	}
	s.blocks.Scan(func(e *entry) bool {
		if e.size == 0 || e.evictable() {
			return true
		}
		return do(change{kind: opBlock, addr: e.addr, size: uint32(e.size), cached: e.cached, at: e.at})
	})
	for e := s.oldest; e != nil && err == nil; e = e.newer {
		do(change{kind: opBlock, addr: e.addr, size: uint32(e.size), cached: true, at: e.at})
	}
	for id, l := range s.leases {
		if err != nil {
			return err
		}
		err = s.eachOfLease(id, l, yield)
	}
	if err == nil {
		s.records.Scan(func(r record) bool { return do(change{kind: opSet, key: r.key, value: r.value}) })
	}
	if err == nil {
		do(change{kind: opQuarantine, count: s.quarantined, at: s.aside})
	}
	return err
}

func (s *state) eachOfLease(id api.LeaseID, l *lease, yield func(*change) error) error {
	const page = 1024
	addrs := make([]api.Address, 0, page)
	flush := func() error {
		o := change{kind: opLease, lease: id, addrs: addrs}
		err := yield(&o)
		addrs = addrs[:0]
		return err
	}
	var err error
	l.blocks.Scan(func(e *entry) bool {
		if addrs = append(addrs, e.addr); len(addrs) == page {
			err = flush()
		}
		return err == nil
	})
	if err == nil && len(addrs) > 0 {
		err = flush()
	}
	return err
}
