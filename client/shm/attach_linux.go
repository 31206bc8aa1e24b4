package shm

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"inos/host/shm"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
)

const dialTime = 5 * time.Second

// connection is the attach socket.
type connection struct{ c *net.UnixConn }

func (c connection) close() { _ = c.c.Close() }

// reply is an answer and the file that came with it.
type reply struct {
	shm.Answer
	file *os.File
	err  error
}

// Attach opens a lease on the node that lends its arena on socket, the file
// arena.sock of its data folder. Errors: Unavailable when no node is there;
// Denied for another user's; Exhausted when as many processes are attached as a
// node allows; Unsupported for another version of the layout.
func Attach(ctx context.Context, socket string, o Options) (*Lease, error) {
	const op = "shm.attach"
	d := net.Dialer{Timeout: dialTime}
	c, err := d.DialContext(ctx, "unix", socket)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, api.Errorf(op, api.Denied, "the node at "+socket+" belongs to another user")
	case err != nil:
		return nil, api.Errorf(op, api.Unavailable, "no node lends its arena at "+socket+"; start one with inos up")
	}
	l := newLease(connection{c.(*net.UnixConn)})
	role := shm.RoleRead
	if o.Write {
		role = shm.RoleWrite
	}
	if err := l.open(ctx, shm.Request{Op: layout.OpAttach, Role: role, Name: o.Name}); err != nil {
		l.conn.close()
		return nil, err
	}
	go l.receive()
	return l, nil
}

// open shakes hands and maps the arena.
func (l *Lease) open(ctx context.Context, r shm.Request) error {
	defer context.AfterFunc(ctx, l.conn.close)()
	// A node that refuses may have hung up already; its answer is still there.
	if err := l.send(r); err != nil && !errors.Is(err, unix.EPIPE) {
		return lost(ctx, err)
	}
	answer := l.next()
	if answer.err != nil {
		return lost(ctx, answer.err)
	}
	if answer.Err != nil {
		return answer.Err
	}
	if answer.file == nil {
		return api.Errorf("shm.attach", api.Corrupt, "the node handed out no memory")
	}
	region, err := shm.OpenReadOnly(answer.file)
	if err != nil {
		return err
	}
	view, err := arena.OpenView(region.Bytes(), shm.Waker())
	if err != nil {
		return errors.Join(err, region.Close())
	}
	l.number, l.owner, l.region, l.view = answer.Lease, arena.Owner(answer.Owner), region, view
	return nil
}

func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return api.E("shm.attach", api.KindOf(ctx.Err()), ctx.Err())
	}
	return api.E("shm.attach", api.Closed, err)
}

func (l *Lease) send(r shm.Request) error {
	b, err := shm.EncodeRequest(r)
	if err == nil {
		_, err = l.conn.c.Write(b)
	}
	return err
}

// receive passes answers on until the connection ends.
func (l *Lease) receive() {
	defer l.finish()
	for {
		a := l.next()
		if a.err != nil {
			l.conn.close()
			return
		}
		select {
		case l.answers <- a:
		default: // nobody asked
			if a.file != nil {
				_ = a.file.Close()
			}
		}
	}
}

// next reads one answer and the file that came with its first byte.
func (l *Lease) next() reply {
	var b [layout.AttachAnswerSize]byte
	oob := make([]byte, unix.CmsgSpace(4))
	var out reply
	for have := 0; have < len(b); {
		n, got, _, _, err := l.conn.c.ReadMsgUnix(b[have:], oob)
		if err == nil && n == 0 {
			err = net.ErrClosed
		}
		if file := fileOf(oob[:got]); file != nil {
			out.file = file
		}
		if err != nil {
			out.drop()
			return reply{err: err}
		}
		have += n
	}
	out.Answer, out.err = shm.DecodeAnswer(b[:])
	if out.err != nil {
		out.drop()
	}
	return out
}

func (r *reply) drop() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

// fileOf takes the file out of a control message.
func fileOf(oob []byte) *os.File {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil
	}
	syscall.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "arena")
}

// request asks and waits for the answer. The caller owns the file.
func (l *Lease) request(ctx context.Context, r shm.Request) (shm.Answer, *os.File, error) {
	l.ask.Lock()
	defer l.ask.Unlock()
	if err := l.send(r); err != nil {
		return shm.Answer{}, nil, lost(ctx, err)
	}
	// The node answers at once or is gone; giving up on ctx would leave an answer
	// to be taken for the next request's.
	select {
	case a := <-l.answers:
		if a.Err != nil {
			a.drop()
			return shm.Answer{}, nil, a.Err
		}
		return a.Answer, a.file, nil
	case <-l.done:
		return shm.Answer{}, nil, api.Errorf("shm.request", api.Closed, "the lease has ended; attach again")
	}
}

// mapRegion asks for a region and maps it with open.
func (l *Lease) mapRegion(ctx context.Context, r shm.Request, open func(*os.File) (*shm.Region, error)) (shm.Answer, *shm.Region, error) {
	answer, file, err := l.request(ctx, r)
	if err != nil {
		return answer, nil, err
	}
	if file == nil {
		return answer, nil, api.Errorf("shm.map", api.Corrupt, "the node handed out no memory")
	}
	region, err := open(file)
	if err != nil {
		return answer, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = region.Close()
		return answer, nil, api.Errorf("shm.map", api.Closed, "the lease has ended; attach again")
	}
	l.mapped[region] = struct{}{}
	return answer, region, nil
}
