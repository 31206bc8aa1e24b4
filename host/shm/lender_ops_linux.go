package shm

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
	"inos/kernel/ring"
)

// begin opens a lease.
func (l *Lender) begin(pid int32, r Request) *lease {
	name := r.Name
	if name == "" {
		if exe, err := os.Readlink("/proc/" + strconv.Itoa(int(pid)) + "/exe"); err == nil {
			name = filepath.Base(exe)
		}
		if !printable(name) {
			name = ""
		}
	}
	l.mu.Lock()
	l.last++
	me := &lease{
		number: l.last, owner: l.cfg.Arena.NewOwner(), pid: pid, name: name, role: r.Role, since: l.cfg.Now(),
		watches: make(map[watchKey]hold), holds: make(map[uint32]*lent),
	}
	l.leases[me] = struct{}{}
	l.mu.Unlock()
	l.cfg.Note(Notice{Event: "attached", Lease: me.info()})
	return me
}

// end takes back everything of a lease.
func (l *Lender) end(me *lease) {
	l.mu.Lock()
	n := Notice{Event: "ended", Lease: me.info()}
	for key, h := range me.watches {
		h.Release()
		delete(me.watches, key)
	}
	for _, r := range me.holds {
		n.Reclaimed += uint64(len(r.mem.Bytes()))
		l.release(me, r)
	}
	delete(l.leases, me)
	l.mu.Unlock()
	leak, err := l.cfg.Arena.EndOwner(me.owner)
	n.Leak, n.Err = leak, err
	n.Reclaimed += leak.Bytes
	l.cfg.Note(n)
}

// release ends me's hold on r, and r with its last holder. mu is held.
func (l *Lender) release(me *lease, r *lent) {
	delete(me.holds, r.number)
	if r.kind == layout.OpRing {
		for end, holder := range r.ends {
			if holder == me {
				r.ends[end] = nil
				r.ring.Abandon(ring.End(end))
			}
		}
		if r.ends[0] != nil || r.ends[1] != nil {
			return
		}
	}
	if r.kind == layout.OpState {
		_ = l.cfg.Arena.States().Remove(me.owner, r.name) // waits for readers here, so that unmapping is safe
	}
	delete(l.regions, r.number)
	delete(l.names, r.name)
	l.bytes -= uint64(len(r.mem.Bytes()))
	_ = r.mem.Close()
}

// do performs one request of an open lease. The caller closes the file.
func (l *Lender) do(me *lease, r Request) (Answer, *os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch r.Op {
	case layout.OpWatch:
		return Answer{}, nil, l.watch(me, r)
	case layout.OpUnwatch:
		key := watchKey{r.Cell, r.Name}
		if h := me.watches[key]; h != nil {
			h.Release()
			delete(me.watches, key)
			return Answer{}, nil, nil
		}
		return Answer{}, nil, api.Errorf("shm.unwatch", api.NotFound, "the lease does not watch that cell")
	case layout.OpOpen:
		return l.open(r)
	case layout.OpState, layout.OpSpan, layout.OpRing:
		return l.lend(me, r)
	case layout.OpRelease:
		held := me.holds[r.Region]
		if held == nil {
			return Answer{}, nil, api.Errorf("shm.release", api.NotFound, "the lease holds no region of that number")
		}
		l.release(me, held)
		return Answer{}, nil, nil
	case layout.OpAttach:
		return Answer{}, nil, api.Errorf("shm.attach", api.Exists, "the lease is open already; a second one needs a second connection")
	}
	return Answer{}, nil, api.Errorf("shm.attach", api.Unsupported, "the node knows no such request; see docs/arena.md")
}

// watch holds a sleeper on a cell for me. A state that is watched already is held
// anew: it may be another one of that name.
func (l *Lender) watch(me *lease, r Request) error {
	const op = "shm.watch"
	key := watchKey{r.Cell, r.Name}
	old := me.watches[key]
	switch {
	case old == nil && !me.roomToWatch():
		return api.Errorf(op, api.Exhausted, "a lease watches at most 64 cells; unwatch one")
	case r.Name != "":
		h, err := l.cfg.Arena.States().Hold(r.Name)
		if err != nil {
			return err
		}
		if old != nil {
			old.Release()
		}
		me.watches[key] = h
	case r.Cell >= layout.EpochsCount:
		return api.Errorf(op, api.Invalid, "an epoch cell has a number below 1024")
	case old == nil:
		h := cellHold{l.cfg.Arena.Epoch(int(r.Cell))}
		h.Hold()
		me.watches[key] = h
	}
	return nil
}

// roomToWatch reports whether one more watch fits, having forgotten those of
// states that ended.
func (l *lease) roomToWatch() bool {
	if len(l.watches) >= MaxLeaseWatches {
		for key, h := range l.watches {
			if h.Ended() {
				delete(l.watches, key)
			}
		}
	}
	return len(l.watches) < MaxLeaseWatches
}

// open hands out a state or span of another lease, read-only.
func (l *Lender) open(r Request) (Answer, *os.File, error) {
	const op = "shm.open"
	have := l.names[r.Name]
	if have == nil {
		return Answer{}, nil, api.Errorf(op, api.NotFound, "no lent region has this name; `inos arena` lists them")
	}
	if have.kind == layout.OpRing {
		return Answer{}, nil, api.Errorf(op, api.Denied, "a ring belongs to its two ends; take one with the ring request")
	}
	file, err := reopen(have.mem)
	return Answer{Region: have.number, Files: 1, Size: uint64(len(have.mem.Bytes()))}, file, err
}

// lend makes a region for me, or gives it the free end of a ring.
func (l *Lender) lend(me *lease, r Request) (Answer, *os.File, error) {
	const op = "shm.lend"
	switch {
	case me.role != RoleWrite:
		return Answer{}, nil, api.Errorf(op, api.Denied, "the lease may only read; attach with the role of a writer")
	case r.Name == "" || len(r.Name) > arena.MaxStateName:
		return Answer{}, nil, api.Errorf(op, api.Invalid, "a region has a name of 1 to 96 bytes")
	case len(me.holds) >= MaxLeaseRegions:
		return Answer{}, nil, api.Errorf(op, api.Exhausted, "a lease holds at most 16 regions; release one")
	}
	have := l.names[r.Name]
	var err error
	if have == nil {
		have, err = l.make(me, r)
	} else {
		err = l.join(me, have, r)
	}
	if err != nil {
		return Answer{}, nil, err
	}
	me.holds[have.number] = have
	file, err := have.mem.File()
	if err == nil {
		file, err = duplicated(file)
	}
	if err != nil {
		l.release(me, have)
		return Answer{}, nil, err
	}
	return Answer{Region: have.number, Files: 1, Size: uint64(len(have.mem.Bytes()))}, file, nil
}

func duplicated(file *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, api.E("shm.duplicate", api.Exhausted, err)
	}
	return os.NewFile(uintptr(fd), "lent"), nil
}

// join gives me the free end of the ring have.
func (l *Lender) join(me *lease, have *lent, r Request) error {
	const op = "shm.ring"
	switch {
	case have.kind != layout.OpRing || r.Op != layout.OpRing:
		return api.Errorf(op, api.Exists, "a region of this name exists; choose another name")
	case r.End > layout.EndReader:
		return api.Errorf(op, api.Invalid, "an end is 0, the writer's, or 1, the reader's")
	case have.ends[r.End] != nil:
		return api.Errorf(op, api.Exists, "another process has that end of the ring")
	case have.ends[1-r.End] == me:
		return api.Errorf(op, api.Invalid, "the two ends of a ring belong to two leases")
	case r.Size != 0 && r.Size != uint64(have.ring.Usage().Capacity):
		return api.Errorf(op, api.Conflict, "the ring has another capacity; give 0 to take it as it is")
	}
	have.ends[r.End] = me
	return nil
}

// make makes a region for me. mu is held.
func (l *Lender) make(me *lease, r Request) (*lent, error) {
	const op = "shm.lend"
	size := r.Size
	switch {
	case size == 0 || size > MaxRegion:
		return nil, api.Errorf(op, api.Invalid, "a region has 1 byte to 64 MiB")
	case r.Op == layout.OpState:
		size = arena.StateBytes(size)
	case r.Op == layout.OpRing && r.End > layout.EndReader:
		return nil, api.Errorf(op, api.Invalid, "an end is 0, the writer's, or 1, the reader's")
	case r.Op == layout.OpRing:
		size += layout.Page
	}
	size = layout.AlignUp(size, Granule)
	if l.bytes+size > l.cfg.Limit {
		return nil, api.Errorf(op, api.Exhausted, "the node lends no more memory now; release regions, or choose a larger tier of arena")
	}
	create := CreateAlone
	if r.Op == layout.OpState {
		create = Create // somebody here may sleep on its cell
	}
	mem, err := create(size)
	if err != nil {
		return nil, err
	}
	l.made++
	made := &lent{number: l.made, kind: r.Op, name: r.Name, mem: mem, owner: me}
	if err := l.shape(made, me, r); err != nil {
		return nil, errors.Join(err, mem.Close())
	}
	l.regions[made.number], l.names[made.name] = made, made
	l.bytes += size
	return made, nil
}

// shape formats a new region as what it is for.
func (l *Lender) shape(made *lent, me *lease, r Request) error {
	b := made.mem.Bytes()
	switch r.Op {
	case layout.OpState:
		if err := arena.FormatState(b, r.Size); err != nil {
			return err
		}
		return l.cfg.Arena.States().Adopt(me.owner, r.Name, made.number, b)
	case layout.OpRing:
		q, err := ring.Format(b[:layout.RingControlSize], b[layout.Page:][:r.Size], int(r.MaxMessage))
		if err != nil {
			return err
		}
		q.ShareBoth(Waker())
		made.ring, made.owner = q, nil
		made.ends[r.End] = me
	}
	return nil
}
