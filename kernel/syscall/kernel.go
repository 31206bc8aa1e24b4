package syscall

import (
	"context"
	"errors"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/ring"
	"inos/kernel/wire"
)

// Config shapes a Kernel.
type Config struct {
	Policy   Policy
	Prices   api.Prices // what system calls count against budgets
	Copies   uint64     // of what is stored; 0: api.DefaultCopies
	Services Services
	Self     api.NodeID // the node; bounds for payers do not hold for it

	// Ring returns ring i of the arena, of layout.SyscallRingsCount; nil keeps all
	// rings in private memory.
	Ring func(i int) (*ring.Ring, error)

	// Named reports whether a module's name is its own on this node. Anybody may
	// write any name into a manifest: rules that give a name hold for no other
	// module. It is fast and takes no lock under which the kernel is called. nil
	// believes every name.
	Named func(d *module.Description) bool

	// Now returns nanoseconds that do not go back.
	Now func() int64
}

// Kernel serves the system calls of all calls of a node. All methods are safe
// for concurrent use.
type Kernel struct {
	cfg   Config
	table *table
	lanes lanes
}

// New makes a kernel. Invalid for a policy with more than MaxRules.
func New(cfg Config) (*Kernel, error) {
	if len(cfg.Policy.Rules) > MaxRules {
		return nil, api.Errorf("syscall.new", api.Invalid, "a node has at most 256 rules for system calls")
	}
	if cfg.Copies == 0 {
		cfg.Copies = api.DefaultCopies
	}
	if cfg.Named == nil {
		cfg.Named = func(*module.Description) bool { return true }
	}
	return &Kernel{cfg: cfg, table: newTable(cfg.Policy, cfg.Named, cfg.Self, cfg.Now()), lanes: lanes{source: cfg.Ring}}, nil
}

// Counts returns the counters of every module that made system calls, by name.
func (k *Kernel) Counts() []ModuleCounts { return k.table.snapshot(k.cfg.Now()) }

// Rule returns the node's rule for a module, of which the name, the hash and the
// author count.
func (k *Kernel) Rule(d *module.Description) Rule { return k.cfg.Policy.For(d, k.cfg.Named(d)) }

// Open begins the system calls of one call, or of a thread that shares the
// account of the call that started it. The engine ends them with End.
func (k *Kernel) Open(c Caller) *Session {
	if c.account == nil {
		c.account = newAccount(k.Rule(c.Module))
	}
	return &Session{k: k, caller: c}
}

// who is the module that asks, and on whose account.
func (s *Session) who() who { return who{s.caller.Module, s.caller.accountOf()} }

// Session is the system calls of one call of a module: module.Syscalls.
type Session struct {
	k      *Kernel
	caller Caller
	lane   *lane // nil before the first system call

	grants  *grants // nil before the first fetch
	threads map[uint64]*thread
	last    uint64 // thread's id
}

var _ module.Syscalls = (*Session)(nil)

// Syscall implements module.Syscalls: the engine's side of the doorbell.
func (s *Session) Syscall(ctx context.Context, request []byte, g module.Guest) ([]byte, error) {
	if s.lane == nil {
		p, err := s.k.lanes.take()
		if err != nil {
			return nil, err
		}
		s.lane = p
	}
	if len(request) == 0 {
		return encode(0, failure(&refusal{Malformed, "the request is empty"}))
	}
	if ok, err := s.lane.submit.Writer().TrySend(request); err != nil || !ok {
		return nil, s.broken(err)
	}
	if err := s.ring(ctx, g); err != nil {
		return nil, err
	}
	done, ok, err := s.lane.complete.Reader().TryReceive(s.lane.out[:])
	if err != nil || !ok {
		return nil, s.broken(err)
	}
	return done, nil
}

// broken drops the session's rings, which are not used again.
func (s *Session) broken(err error) error {
	s.lane = nil
	return errRing(err)
}

// ring is the doorbell: it serves what lies in the submission ring. Whoever
// submitted there is the session's caller, whatever the request says.
func (s *Session) ring(ctx context.Context, g module.Guest) error {
	for {
		request, ok, err := s.lane.submit.Reader().TryReceive(s.lane.in[:])
		if err != nil {
			return s.broken(err)
		}
		if !ok {
			return nil
		}
		done, err := s.serve(ctx, request, g)
		if err != nil {
			return err
		}
		if ok, err := s.lane.complete.Writer().TrySend(done); err != nil || !ok {
			return s.broken(err)
		}
	}
}

// serve decodes, authorizes and dispatches one request.
func (s *Session) serve(ctx context.Context, request []byte, g module.Guest) ([]byte, error) {
	q, err := wire.DecodeSyscallRequest(request)
	name := NameOf(q.Op)
	result, err := s.authorize(ctx, q, name, err, g)
	s.k.table.count(s.who(), name, err, s.k.cfg.Now())
	if err == nil {
		return encode(q.ID, result)
	}
	if f, ok := err.(fatal); ok {
		return nil, f.error
	}
	if s.caller.Module.Manifest.Deterministic && !stable(err) {
		return nil, elsewhere(name, err)
	}
	return encode(q.ID, failure(err))
}

// authorize decides whether the request is served, and has it served. mal is
// why it cannot be read, if so.
func (s *Session) authorize(ctx context.Context, q wire.SyscallRequest, name string, mal error, g module.Guest) (wire.SyscallResult, error) {
	d := s.caller.Module
	switch {
	case !q.Source.IsZero() && q.Source != d.Hash:
		return nil, &refusal{Spoofed, "the request names another module as its source; leave the field empty"}
	case mal != nil:
		return nil, &refusal{Malformed, "the request is not readable: " + messageOf(mal)}
	}
	if r := s.k.table.begin(s.who(), listed(name), s.k.cfg.Now()); r != nil {
		return nil, r
	}
	defer func() { s.k.table.done(s.who(), s.k.cfg.Now()) }()
	own := ctx
	if q.DeadlineMS > 0 && !d.Manifest.Deterministic { // whether it passes depends on the node
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(q.DeadlineMS)*time.Millisecond)
		defer cancel()
	}
	switch op := q.Op.(type) {
	case wire.SpawnThread:
		return s.spawn(own, op, g)
	case wire.KillThread:
		return s.kill(op.Thread, g)
	case wire.AwaitThread:
		return s.await(ctx, op.Thread, g)
	}
	return s.wait(ctx, q.Op, g)
}

// dispatch has the services do what waits for the disk, the mesh or others, and
// returns how many bytes that moved.
func (s *Session) dispatch(ctx context.Context, op wire.SyscallOp, g module.Guest) (wire.SyscallResult, uint64, error) {
	switch op := op.(type) {
	case wire.FetchChunk:
		r, err := s.fetch(ctx, op, g)
		return r, uint64(r.Data.Length), err
	case wire.StoreChunk:
		r, err := s.store(ctx, op, g)
		return r, r.Size, err
	case wire.SendMessage:
		r, err := s.send(ctx, op, g)
		return r, uint64(op.Data.Length), err
	case wire.HostCall:
		r, err := s.host(ctx, op, g)
		return r, uint64(op.Data.Length) + uint64(r.Data.Length), err
	}
	return nil, 0, &refusal{Malformed, "there is no such system call"}
}

// End implements module.Syscalls.
func (s *Session) End(g module.Guest) {
	for _, t := range s.threads {
		t.Kill()
	}
	for id := range s.threads {
		s.reap(id, g)
	}
	if s.lane != nil {
		s.k.lanes.put(s.lane)
		s.lane = nil
	}
}

// awaitThread is how waiting for threads is counted; it needs no listing of its
// own.
const awaitThread = "awaitThread"

// NameOf is the name of a system call as counters show it. A service's calls are
// named as in manifests.
func NameOf(op wire.SyscallOp) string {
	switch op := op.(type) {
	case wire.FetchChunk:
		return module.FetchChunk
	case wire.StoreChunk:
		return module.StoreChunk
	case wire.SendMessage:
		return module.SendMessage
	case wire.SpawnThread:
		return module.SpawnThread
	case wire.KillThread:
		return module.KillThread
	case wire.AwaitThread:
		return awaitThread
	case wire.HostCall:
		return module.HostCallPrefix + op.Service
	}
	return "unknown"
}

// listed is the name that a manifest lists and a rule names for a system call.
func listed(name string) string {
	if name == awaitThread {
		return module.SpawnThread
	}
	return name
}

// certain is a service's failure that depends on the request alone.
type certain struct{ error }

func (c certain) Unwrap() error { return c.error }

// Certain marks a failure of a service that any node would answer with, in the
// same words: a deterministic module may see it. Kinds tell nothing of the sort,
// as another member may have answered with any.
func Certain(err error) error { return certain{err} }

// stable reports whether a failure depends on the call alone.
func stable(err error) bool {
	if r, ok := err.(*refusal); ok {
		return r.reason.fixed()
	}
	var c certain
	return errors.As(err, &c)
}

// elsewhere is the error that ends a deterministic module's call. Its kind is
// never the failure's: that may be another member's word, and a trap would count
// against the module. When it is the call's own time that ended, the engine says so.
func elsewhere(name string, err error) error {
	return api.Errorf("syscall", api.Unavailable, name+" failed here, which a deterministic module must not see: "+messageOf(err))
}

func failure(err error) wire.SyscallFailed {
	if r, ok := err.(*refusal); ok {
		return wire.SyscallFailed{Kind: kinds[r.reason], Message: r.msg}
	}
	return wire.SyscallFailed{Kind: api.KindOf(err), Message: messageOf(err)}
}

func encode(id uint64, r wire.SyscallResult) ([]byte, error) {
	return wire.EncodeSyscallCompletion(wire.SyscallCompletion{ID: id, Result: r})
}
