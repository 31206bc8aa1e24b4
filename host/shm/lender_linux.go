package shm

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// Lender lends an arena to other processes of the same user, over a Unix socket.
//
// A connection is a lease. Its first request attaches and brings the arena's
// file, opened read-only, so that the system refuses a writable mapping. A lease
// with the role of a writer may then have regions of its own, each a file of its
// own: what a process may write is what it was given to map.
//
// Invariants:
//   - Nobody of another user gets an answer (SO_PEERCRED).
//   - A process that maps memory read-only never counts its own sleepers: the
//     lender holds them, per lease, and knows them exactly.
//   - When the connection ends, for whatever reason, everything of the lease is
//     taken back: watches, regions, ring ends, its owner's states and heap memory.
//   - A region lives until its owner, or the last end of a ring, is gone. The
//     memory that another process has mapped stays until it unmaps it: the system
//     counts, nobody faults.
//   - An idle lease costs a goroutine that waits in a read.
type Lender struct {
	cfg    LenderConfig
	listen *net.UnixListener
	file   fs.FileInfo // the socket file as bound
	tasks  sync.WaitGroup

	mu      sync.Mutex
	closed  bool                   // mu
	conns   map[*net.UnixConn]bool // mu: at most MaxLeases
	leases  map[*lease]struct{}    // mu
	regions map[uint32]*lent       // mu
	names   map[string]*lent       // mu
	bytes   uint64                 // mu: of regions
	last    uint32                 // mu: number of the newest lease
	made    uint32                 // mu: number of the newest region
}

// Lend binds the socket and serves until Close. Errors: Exists when something
// answers there or the file is no socket; Denied; Invalid for a long path.
func Lend(cfg LenderConfig) (*Lender, error) {
	if cfg.Note == nil {
		cfg.Note = func(Notice) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Limit == 0 {
		cfg.Limit = cfg.Arena.Size()
	}
	l := &Lender{
		cfg: cfg, conns: make(map[*net.UnixConn]bool), leases: make(map[*lease]struct{}),
		regions: make(map[uint32]*lent), names: make(map[string]*lent),
	}
	if err := l.bind(); err != nil {
		return nil, err
	}
	l.tasks.Go(l.accept)
	return l, nil
}

// maxSocketPath is the longest path of a Unix socket.
const maxSocketPath = 107

func (l *Lender) bind() error {
	const op = "shm.lend"
	path := l.cfg.Socket
	if len(path) > maxSocketPath {
		return api.Errorf(op, api.Invalid, "the attach socket's path is too long for the system; use a shorter data folder")
	}
	if fi, err := os.Lstat(path); err == nil {
		if fi.Mode().Type() != fs.ModeSocket {
			return api.Errorf(op, api.Exists, path+" exists and is not a socket; move it away")
		}
		if c, err := net.Dial("unix", path); err == nil {
			_ = c.Close()
			return api.Errorf(op, api.Exists, "a node already lends its arena on "+path)
		}
		if err := os.Remove(path); err != nil {
			return api.E(op, api.Denied, err)
		}
	}
	listen, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return api.E(op, api.Denied, err)
	}
	listen.SetUnlinkOnClose(false)
	fi, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, 0o600) // until then the umask and allowed guard it
	}
	if err != nil {
		return errors.Join(api.E(op, api.Denied, err), listen.Close())
	}
	l.listen, l.file = listen, fi
	return nil
}

// Close ends every lease and removes the socket.
func (l *Lender) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	err := l.listen.Close()
	l.tasks.Wait()
	if fi, lookErr := os.Lstat(l.cfg.Socket); lookErr == nil && os.SameFile(fi, l.file) {
		err = errors.Join(err, os.Remove(l.cfg.Socket))
	}
	return err
}

// Leases lists the attached processes in the order they came.
func (l *Lender) Leases() []LeaseInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return sortedLeases(l.leases)
}

// Regions lists the lent regions in the order they were made.
func (l *Lender) Regions() []RegionInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return sortedRegions(l.regions)
}

func (l *Lender) accept() {
	for {
		c, err := l.listen.AcceptUnix()
		if err != nil {
			l.mu.Lock()
			closed := l.closed
			l.mu.Unlock()
			if closed {
				return
			}
			time.Sleep(handshakeTime / 100) // out of files: others must end first
			continue
		}
		pid, err := allowed(c)
		if err == nil {
			err = l.enlist(c)
		}
		if err != nil {
			l.refuse(c, LeaseInfo{PID: pid}, err)
			_ = c.Close()
			continue
		}
		l.tasks.Go(func() { l.serve(c, pid) })
	}
}

// enlist counts a connection.
func (l *Lender) enlist(c *net.UnixConn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return api.Errorf("shm.attach", api.Closed, "the node is stopping; attach again when it runs")
	case len(l.conns) >= MaxLeases:
		return api.Errorf("shm.attach", api.Exhausted, "64 processes are attached, the most a node serves; end one")
	}
	l.conns[c] = true
	return nil
}

// allowed refuses processes of other users.
func allowed(c *net.UnixConn) (pid int32, err error) {
	const op = "shm.attach"
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, api.E(op, api.Denied, err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, api.E(op, api.Denied, err)
	}
	if credErr != nil {
		return 0, api.E(op, api.Denied, credErr)
	}
	if cred.Uid != uint32(os.Getuid()) {
		return cred.Pid, api.Errorf(op, api.Denied, "only processes of the node's own user may attach")
	}
	return cred.Pid, nil
}

func (l *Lender) refuse(c *net.UnixConn, who LeaseInfo, err error) {
	_ = c.SetWriteDeadline(time.Now().Add(answerTime))
	_, _ = c.Write(EncodeAnswer(Answer{Err: err}))
	l.cfg.Note(Notice{Event: "refused", Lease: who, Err: err})
}

// serve answers one connection until it ends, and takes everything back.
func (l *Lender) serve(c *net.UnixConn, pid int32) {
	defer func() {
		_ = c.Close()
		l.mu.Lock()
		delete(l.conns, c)
		l.mu.Unlock()
	}()
	_ = c.SetReadDeadline(time.Now().Add(handshakeTime))
	r, err := receive(c)
	if err == nil && r.Op != layout.OpAttach {
		err = api.Errorf("shm.attach", api.Invalid, "the first request attaches")
	}
	if err == nil && r.Role != RoleRead && r.Role != RoleWrite {
		err = api.Errorf("shm.attach", api.Invalid, "a role is 0, read, or 1, write")
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			l.refuse(c, LeaseInfo{PID: pid, Name: r.Name}, err)
		}
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	me := l.begin(pid, r)
	defer l.end(me)
	file, err := reopen(l.cfg.Region)
	if err != nil {
		l.refuse(c, me.info(), err)
		return
	}
	answer := Answer{Lease: me.number, Owner: uint32(me.owner), Files: 1, Size: l.cfg.Arena.Size()}
	for {
		err = reply(c, answer, file)
		if file != nil {
			_ = file.Close()
		}
		if err != nil {
			return
		}
		if r, err = receive(c); err != nil && api.KindOf(err) == api.Other {
			return // the process is gone
		}
		answer, file = Answer{}, nil
		if err == nil {
			answer, file, err = l.do(me, r)
		}
		if err != nil {
			l.cfg.Note(Notice{Event: "refused", Lease: l.infoOf(me), Err: err})
			answer = Answer{Err: err}
		}
	}
}

func (l *Lender) infoOf(me *lease) LeaseInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return me.info()
}

// receive reads one request. An error without a kind is the connection's end.
func receive(c *net.UnixConn) (Request, error) {
	var b [layout.AttachRequestSize]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return Request{}, err
	}
	return DecodeRequest(b[:])
}

// reply sends an answer and, with its first byte, a file.
func reply(c *net.UnixConn, a Answer, file *os.File) error {
	_ = c.SetWriteDeadline(time.Now().Add(answerTime))
	b := EncodeAnswer(a)
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	n, _, err := c.WriteMsgUnix(b, rights, nil)
	if err == nil && n < len(b) {
		_, err = c.Write(b[n:])
	}
	return err
}

// reopen opens a region's file for reading only.
func reopen(r *Region) (*os.File, error) {
	file, err := r.File()
	if err != nil {
		return nil, err
	}
	ro, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(file.Fd())), os.O_RDONLY, 0)
	if err != nil {
		return nil, api.E("shm.reopen", api.Exhausted, err)
	}
	return ro, nil
}
