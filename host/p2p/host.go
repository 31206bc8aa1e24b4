package p2p

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"inos/kernel/api"
)

// Protocols of this package. A hub has those of its overlay besides.
const (
	helloProtocol  = "/inos/hello/1"
	joinProtocol   = "/inos/join/1" // the calls of /inos/rpc/1 that strangers may make
	rpcProtocol    = "/inos/rpc/1"
	blocksProtocol = "/inos/blocks/1"
)

// closeTime bounds Close.
const closeTime = 2 * time.Second

// Host is this node on the network. Its methods are safe for concurrent use.
type Host struct {
	cfg      Config
	id       api.NodeID
	instance [16]byte // tells two running processes with one key apart
	net      transport
	over     overlay
	serveMem *semaphore.Weighted // Limits.ServeBytes
	counts   counters
	traffic  traffic

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	work   sync.WaitGroup // goroutines of this package
	once   sync.Once      // Close

	mu        sync.Mutex
	peers     map[api.NodeID]*remote    // guarded by mu; every peer with a connection
	strangers int                       // guarded by mu; inbound connections of peers not admitted
	kept      map[api.NodeID]*kept      // guarded by mu; at most api.MaxMembers
	seen      map[api.NodeID][][16]byte // guarded by mu; see sameKey
	closed    bool                      // guarded by mu

	handlers sync.Map // method name -> handlerEntry
	backend  atomic.Pointer[Backend]

	events  events
	dials   chan struct{} // tokens of keeper dials
	flights singleflight.Group
}

// New starts the host: it listens, and dials what Config.Bootstrap names.
// Exists means that a listen port is already taken.
func New(cfg Config) (*Host, error) {
	const op = "p2p.new"
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Limits = cfg.Limits.withDefaults()
	h := &Host{
		cfg:      cfg,
		id:       api.NodeID(cfg.Key.Public().(ed25519.PublicKey)),
		serveMem: semaphore.NewWeighted(cfg.Limits.ServeBytes),
		peers:    make(map[api.NodeID]*remote),
		kept:     make(map[api.NodeID]*kept),
		seen:     make(map[api.NodeID][][16]byte),
		dials:    make(chan struct{}, maxKeeperDials),
	}
	if cfg.OnPeer != nil {
		h.events.dirty, h.events.wake = make(map[api.NodeID]struct{}), make(chan struct{}, 1)
	}
	_, _ = rand.Read(h.instance[:]) // never fails; it ends the process instead
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if err := h.start(); err != nil {
		_ = h.Close()
		if isTaken(err) {
			return nil, api.E(op, api.Exists, because("the listen port is already taken: stop the other program, choose another port, or 0 for any", err))
		}
		return nil, api.E(op, api.Other, err)
	}
	return h, nil
}

// isTaken reports whether a listener failed because its port is in use.
func isTaken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

func (h *Host) start() (err error) {
	if h.cfg.Link != nil {
		l := newLeaf(h, h.cfg.Link)
		h.net, h.over = l, newLeafOverlay(l)
	} else if h.net, h.over, err = newNetwork(h); err != nil {
		return err
	}
	h.net.handle(helloProtocol, h.serveHello)
	h.net.handle(joinProtocol, h.serveJoin)
	h.net.handle(rpcProtocol, h.members(h.serveRPC))
	h.net.handle(blocksProtocol, h.members(h.serveBlocks))
	if err := h.registerLeaseCalls(); err != nil {
		return err
	}
	if err := h.over.start(); err != nil {
		return err
	}
	h.events.start(h)
	if err := h.net.open(); err != nil {
		return err
	}
	for _, s := range h.cfg.Bootstrap {
		id, _, err := parseAddrs("p2p.new", []string{s})
		if err != nil {
			return err
		}
		if err := h.Keep(id, []string{s}); err != nil {
			return err
		}
	}
	return nil
}

// ID is this node's identity.
func (h *Host) ID() api.NodeID { return h.id }

// Addrs returns full multiaddrs, with /p2p/..., under which others may reach
// this node, at most api.MaxAddrs, the best first.
func (h *Host) Addrs() []string {
	list := fewer(h.net.addrs(), api.MaxAddrs)
	full := make([]string, len(list))
	for i, a := range list {
		full[i] = a + peerPart + peerText(h.id)
	}
	return full
}

// Close stops listening, ends every connection, call and transfer, and returns
// within two seconds. Calling it again does nothing.
func (h *Host) Close() error {
	var err error
	h.once.Do(func() {
		h.mu.Lock()
		h.closed = true
		for _, k := range h.kept {
			k.stop()
		}
		h.mu.Unlock()
		h.cancel()
		done := make(chan error, 1)
		go func() { done <- h.closeAll() }()
		timer := time.NewTimer(closeTime)
		defer timer.Stop()
		select {
		case err = <-done:
		case <-timer.C:
			err = api.Errorf("p2p.close", api.Timeout, "the network did not stop within two seconds")
		}
	})
	return err
}

func (h *Host) closeAll() error {
	var errs []error
	if h.net != nil {
		errs = append(errs, h.over.stop(), h.net.close())
	}
	h.work.Wait()
	return errors.Join(errs...)
}

// goWork runs fn in a goroutine that Close waits for; false when closing.
func (h *Host) goWork(fn func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.work.Add(1)
	go func() {
		defer h.work.Done()
		fn()
	}()
	return true
}
