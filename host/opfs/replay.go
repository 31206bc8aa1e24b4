package opfs

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"

	"inos/kernel/api"
)

// load reads the log files and returns the state and the journal to go on with.
// cut is the number of bytes after the last good frame, which a crash may leave.
// Unsupported if a newer version wrote a file; Corrupt if blocks are there
// and no log is whole.
func load(f *files) (s *state, j *journal, cut int64, err error) {
	j = &journal{files: f.logs, slack: logSlack}
	for i := range f.logs {
		r, e := replay(f.logs[i])
		if e != nil {
			return nil, nil, 0, e
		}
		if r == nil || s != nil && r.gen < j.gen {
			continue
		}
		s, j.cur, j.gen, j.seq, j.end, j.base, cut = r.state, i, r.gen, r.seq, r.end, r.base, r.size-r.end
	}
	if s == nil {
		s, err = create(f, j)
		return s, j, 0, err
	}
	if cut > 0 {
		if err := f.logs[j.cur].Truncate(j.end); err != nil {
			return nil, nil, 0, err
		}
	}
	return s, j, cut, f.logs[j.cur].Flush() // what is read here is acted upon
}

// create begins a store whose files hold nothing yet. Blocks come only after the
// first snapshot is durable.
func create(f *files, j *journal) (*state, error) {
	n, err := f.blocks.Size()
	if err != nil {
		return nil, err
	}
	if n > 0 {
		return nil, api.Errorf("opfs.open", api.Corrupt, "this tab's block store has lost its index; remove the site's data and join again")
	}
	s := newState()
	j.cur = 1 // so that the snapshot goes to file 0
	return s, j.snapshot(s)
}

// replayed is what one log file says.
type replayed struct {
	state *state
	gen   uint64
	seq   uint64
	end   int64 // after the last good frame
	base  int64 // after the snapshot
	size  int64
}

// replay reads one log file, or returns nil if it holds no whole snapshot.
func replay(f file) (*replayed, error) {
	size, err := f.Size()
	if err != nil || size < headerBytes {
		return nil, err
	}
	h := make([]byte, headerBytes)
	if n, err := f.ReadAt(h, 0); err != nil || n < headerBytes {
		return nil, err
	}
	if [8]byte(h) != magic || crc32.Checksum(h[:24], table) != binary.LittleEndian.Uint32(h[24:]) {
		return nil, nil
	}
	if v := binary.LittleEndian.Uint32(h[8:]); v != version {
		return nil, api.Errorf("opfs.open", api.Unsupported, "this tab's store has the format "+strconv.Itoa(int(v))+
			", and this page reads only "+strconv.Itoa(version)+"; reload the page from a newer node")
	}
	r := &replayed{state: newState(), gen: binary.LittleEndian.Uint64(h[16:]), end: headerBytes, size: size}
	if err := r.frames(f); err != nil {
		return nil, err
	}
	if r.base == 0 {
		return nil, nil
	}
	return r, nil
}

// frames applies frame after frame until one is missing or wrong.
func (r *replayed) frames(f file) error {
	in := &reader{file: f, size: r.size}
	var seen uint64
	for {
		head, err := in.at(r.end, frameHead)
		if err != nil || head == nil {
			return err
		}
		n, sum := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:])
		if n > maxFrame {
			return nil
		}
		ops, err := in.at(r.end+frameHead, int(n))
		if err != nil || ops == nil {
			return err
		}
		if checksum(r.gen, r.seq, ops) != sum || !r.apply(ops, &seen) {
			return nil
		}
		r.end += frameHead + int64(n)
		r.seq++
		if r.base < 0 {
			r.base = r.end
		}
	}
}

// apply performs a frame's ops, all or none. seen counts the snapshot's.
func (r *replayed) apply(frame []byte, seen *uint64) bool {
	var list []change
	d := decoder{b: frame}
	for len(d.b) > 0 {
		o := d.next()
		if d.bad {
			return false
		}
		if o.kind == opEnd && (r.base != 0 || o.count != *seen+uint64(len(list)) || len(d.b) > 0) {
			return false
		}
		list = append(list, o)
	}
	for i := range list {
		if list[i].kind == opEnd {
			r.base = -1 // frames knows where it ends
			continue
		}
		r.state.apply(&list[i])
		*seen++
	}
	return true
}

// reader reads a file in large pieces.
type reader struct {
	file file
	size int64
	buf  []byte
	from int64
}

// at returns n bytes, valid until the next call, or nil if the file ends before.
func (r *reader) at(from int64, n int) ([]byte, error) {
	if from+int64(n) > r.size {
		return nil, nil
	}
	if from < r.from || from+int64(n) > r.from+int64(len(r.buf)) {
		r.buf = make([]byte, min(max(int64(n), writeBuffer), r.size-from))
		r.from = from
		got, err := r.file.ReadAt(r.buf, from)
		if err != nil || got < n {
			return nil, err
		}
		r.buf = r.buf[:got]
	}
	return r.buf[from-r.from:][:n:n], nil
}
