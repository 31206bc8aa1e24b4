package syscall

import (
	"fmt"
	"sync"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/ring"
	"inos/kernel/wire"
)

// lanes hands out pairs of rings, one to each call that makes system calls:
// those of the arena first, private memory beyond them.
//
// Invariant: as many pairs are out as calls are running, which the engine and
// the bound on threads limit; as many private ones are kept as the arena has.
type lanes struct {
	source func(i int) (*ring.Ring, error) // nil: private memory alone

	mu   sync.Mutex
	free []*lane // guarded by mu; the last used last
	made int     // guarded by mu; pairs of the arena that were asked for
	kept int     // guarded by mu; private ones in free
}

// arenaLanes is how many pairs the arena has.
const arenaLanes = layout.SyscallRingsCount / 2

// lane is a submission and a completion ring. One call has it at a time.
type lane struct {
	submit, complete *ring.Ring
	private          bool
	in, out          [wire.MaxSyscall]byte
}

// take returns a pair with nothing in it.
func (l *lanes) take() (*lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var p *lane
	if n := len(l.free); n > 0 {
		p = l.free[n-1]
		l.free = l.free[:n-1]
		if p.private {
			l.kept--
		}
	} else {
		var err error
		if p, err = l.open(); err != nil {
			return nil, api.E("syscall.lane", api.Unavailable, err)
		}
	}
	if err := restart(p.submit); err != nil {
		return nil, err
	}
	return p, restart(p.complete)
}

// restart empties a ring: the writer begins a new generation, and the reader
// joins it, of which it is told by one Conflict.
func restart(r *ring.Ring) error {
	r.Writer().Restart()
	if _, _, err := r.Reader().TryReceive(nil); api.KindOf(err) != api.Conflict {
		return errRing(err)
	}
	return nil
}

func (l *lanes) open() (*lane, error) {
	if l.source != nil && l.made < arenaLanes {
		i := l.made
		l.made++
		submit, err := l.source(2 * i)
		if err != nil {
			return nil, err
		}
		complete, err := l.source(2*i + 1)
		if err != nil {
			return nil, err
		}
		return &lane{submit: submit, complete: complete}, nil
	}
	submit, err := privateRing()
	if err != nil {
		return nil, err
	}
	complete, err := privateRing()
	if err != nil {
		return nil, err
	}
	return &lane{submit: submit, complete: complete, private: true}, nil
}

func privateRing() (*ring.Ring, error) {
	b := make([]byte, layout.RingControlSize+layout.SyscallDataStride+layout.Line)
	for !layout.Aligned(b, layout.Line) {
		b = b[1:]
	}
	data := b[layout.RingControlSize : layout.RingControlSize+layout.SyscallDataStride]
	return ring.Format(b[:layout.RingControlSize:layout.RingControlSize], data[:len(data):len(data)], wire.MaxSyscall)
}

// put takes a pair back.
func (l *lanes) put(p *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.private {
		if l.kept >= arenaLanes {
			return
		}
		l.kept++
	}
	l.free = append(l.free, p)
}

// errRing is the error of a ring whose words somebody changed.
func errRing(err error) error {
	return api.E("syscall.ring", api.Unavailable, fmt.Errorf("the ring of system calls is broken; restart the node: %w", err))
}
