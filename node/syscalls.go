package node

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"inos/kernel/api"
	"inos/kernel/chunk"
	"inos/kernel/module"
	"inos/kernel/syscall"
	"inos/kernel/wire"
)

// SyscallConfig is what modules may ask of this node.
type SyscallConfig struct {
	Policy syscall.Policy // the zero value allows what manifests list, at default rates

	HTTPOrigins []string // origins that hostCall:http reaches, such as https://api.example.org; none by default
	HTTPPrivate bool     // also at addresses of private networks and this machine
}

// maxThreads bounds the threads of all calls on this node.
const maxThreads = 64

// syscalls serves what the kernel has authorized: syscall.Services.
type syscalls struct {
	n        *Node
	kernel   *syscall.Kernel
	messages *messages
	kv       *kvStore // is services["kv"] too
	services map[string]hostService
	threads  *semaphore.Weighted

	mu     sync.Mutex
	stored map[api.ID]storedBy // guarded by mu; what workers stored for live jobs of this payer
}

// storedBy adds up what a job's worker stored for its payer. A job that goes to
// another worker starts anew.
type storedBy struct {
	worker  api.NodeID
	objects int
	bytes   uint64
}

// hostService is a named service of hostCall.
type hostService interface {
	serve(ctx context.Context, c *syscall.Caller, operation, argument string, data []byte) (syscall.HostAnswer, error)
}

var _ syscall.Services = (*syscalls)(nil)

func openSyscalls(n *Node) (*syscalls, error) {
	s := &syscalls{n: n, threads: semaphore.NewWeighted(maxThreads), stored: map[api.ID]storedBy{}}
	began := time.Now()
	var err error
	s.kernel, err = syscall.New(syscall.Config{
		Policy: n.cfg.Syscalls.Policy, Prices: *n.cfg.Prices, Services: s, Self: n.id.ID(), Ring: n.memory.arena.SyscallRing,
		Named: n.modules.named, Now: func() int64 { return int64(time.Since(began)) },
	})
	if err != nil {
		return nil, err
	}
	if s.kv, err = openKV(n); err != nil {
		return nil, err
	}
	s.services = map[string]hostService{"kv": s.kv}
	if n.cfg.Sensors != nil {
		s.services["sensor"] = openSensors(n, n.cfg.Sensors)
	}
	if len(n.cfg.Syscalls.HTTPOrigins) > 0 {
		if s.services["http"], err = openHTTP(n.cfg.Syscalls); err != nil {
			return nil, err
		}
	}
	s.messages, err = openMessages(n, s.kernel)
	return s, err
}

// forget deletes what a module that was removed left on this node: its values and
// the messages for it.
func (s *syscalls) forget(h api.Hash) {
	s.messages.forget(h)
	if err := s.kv.forget(h); err != nil {
		s.n.cfg.Log("what the module %s kept is not deleted: %v", h.Short(), err)
	}
}

// SyscallCounts tells, for every module that made system calls since the node
// started, how many were served, failed, and were refused for which reason.
func (n *Node) SyscallCounts() []syscall.ModuleCounts { return n.syscalls.kernel.Counts() }

// session is the system calls of one job's call, nil for modules that make none.
// blame is whose input it works on.
func (s *syscalls) session(d *module.Description, spec api.JobSpec, call *module.Call, blame api.NodeID) module.Syscalls {
	if d.Manifest.ABI < 2 {
		return nil
	}
	return s.kernel.Open(syscall.Caller{
		Module: d, ModuleLink: spec.ModuleLink, Job: spec.ID, Owner: spec.Payer, Blame: blame, Params: spec.Params,
		Input: spec.Input, InputPath: spec.InputPath, OutputKey: spec.OutputKey,
		Limits: d.LimitsOf(spec.Limits), Seed: call.Seed, SubmittedMS: call.SubmittedMS,
	})
}

// Fetch implements syscall.Services: from the store or the mesh, verified on the
// way. A link opens what it has the key of, and nothing else: this node's own
// objects are not opened by their address alone.
func (s *syscalls) Fetch(ctx context.Context, _ *syscall.Caller, q syscall.Fetch) ([]byte, uint64, error) {
	const op = "node.fetchchunk"
	if !q.Address.IsZero() {
		return s.fetchBlock(ctx, q)
	}
	obj, err := chunk.Open(ctx, q.Link, s.n.reader(q.Link.Root))
	if err != nil {
		return nil, 0, notHere(q.Link, err)
	}
	e, err := obj.Lookup(ctx, q.Path)
	if err != nil {
		return nil, 0, err
	}
	if e.Kind != chunk.KindFile {
		return nil, 0, syscall.Certain(api.Errorf(op, api.Invalid, "this is a folder; name a file in it"))
	}
	length, err := within(op, q, e.Size)
	if err != nil || length == 0 {
		return nil, e.Size, err
	}
	b := bytes.NewBuffer(make([]byte, 0, length))
	if err := obj.ReadRange(ctx, e, q.Offset, length, b); err != nil {
		return nil, 0, err
	}
	return b.Bytes(), e.Size, nil
}

func (s *syscalls) fetchBlock(ctx context.Context, q syscall.Fetch) (data []byte, size uint64, err error) {
	const op = "node.fetchchunk"
	err = s.n.Fetch(ctx, []api.Address{q.Address}, func(_ api.Address, block []byte) error {
		size = uint64(len(block))
		length, err := within(op, q, size)
		if err == nil {
			data = append(data, block[q.Offset:q.Offset+length]...)
		}
		return err
	})
	return data, size, err
}

// within is the length of a range inside a whole of size bytes.
func within(op string, q syscall.Fetch, size uint64) (uint64, error) {
	if q.Offset > size {
		return 0, syscall.Certain(api.Errorf(op, api.Invalid, fmt.Sprintf("there are %d bytes; the range begins after their end", size)))
	}
	return min(uint64(q.Length), size-q.Offset), nil
}

// Send implements syscall.Services.
func (s *syscalls) Send(ctx context.Context, c *syscall.Caller, to api.NodeID, name string, data []byte) (wire.MessageReceipt, error) {
	return s.messages.send(ctx, c.Module.Hash, to, name, data)
}

// Host implements syscall.Services.
func (s *syscalls) Host(ctx context.Context, c *syscall.Caller, service, operation, argument string, data []byte) (syscall.HostAnswer, error) {
	h := s.services[service]
	if h == nil {
		return syscall.HostAnswer{}, api.Errorf("node.hostcall", api.Unsupported, "this node has no service "+service+"; its owner turns it on")
	}
	return h.serve(ctx, c, operation, argument, data)
}

// guestThread is a call of a guest that runs beside the one that started it.
type guestThread struct {
	cancel context.CancelFunc
	done   chan struct{}
	res    module.Result // valid once done is closed
	err    error         // valid once done is closed
}

func (t *guestThread) Kill()                          { t.cancel() }
func (t *guestThread) Done() <-chan struct{}          { return t.done }
func (t *guestThread) Result() (module.Result, error) { return t.res, t.err }

// Spawn implements syscall.Threads for guests: memory is private, so a thread is
// a call in an instance of its own. It waits for a worker like any call, and its
// module's supervisor hears of it as of any call of the same payer.
func (s *syscalls) Spawn(ctx context.Context, c *syscall.Caller, call module.Call) (syscall.Thread, error) {
	const op = "node.spawnthread"
	m, err := s.n.worker.module(ctx, api.JobSpec{Module: c.Module.Hash, ModuleLink: c.ModuleLink})
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	prepared := call
	if err := m.Description().Prepare(&prepared); err != nil {
		return nil, err
	}
	if !s.threads.TryAcquire(1) {
		return nil, api.Errorf(op, api.Exhausted, "64 threads run on this node; await or kill some, or try again")
	}
	v, err := s.n.worker.supervisors.arrive(c.Module.Hash, c.Blame, call.Seed)
	if err != nil {
		s.threads.Release(1)
		return nil, err
	}
	// What it may fetch is what the job named: its own parameters are the module's
	// choice.
	own := *c
	own.OutputKey = s.keyOf(c) // while the seed is the job's
	own.Thread, own.Limits, own.Seed = true, call.Limits, call.Seed
	call.Syscalls = s.kernel.Open(own)
	ctx, cancel := context.WithCancel(ctx)
	t := &guestThread{cancel: cancel, done: make(chan struct{})}
	run := func() {
		defer close(t.done)
		defer s.threads.Release(1)
		defer cancel()
		if t.err = v.begin(); t.err != nil {
			return
		}
		defer v.ended()
		t.res, t.err = m.Call(ctx, call)
		v.note(t.res.Gas, t.err)
		v.gas = 0 // its caller's gas has it
	}
	if !s.n.spawn(run) {
		cancel()
		v.left()
		s.threads.Release(1)
		return nil, api.Errorf(op, api.Closed, "the node is stopping")
	}
	return t, nil
}
