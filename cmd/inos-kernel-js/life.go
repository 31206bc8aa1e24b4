//go:build js

package main

import (
	"context"
	"errors"
	"sync"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/node"
	"inos/server/tab"
)

// life starts and stops the tab's node. It implements tab.Host.
//
// Invariant: with turn held, nobody else opens the store.
type life struct {
	cfg   node.Config
	cores int
	turn  sync.Mutex // held while the node starts, stops, or its store is changed

	mu      sync.Mutex
	node    *node.Node    // guarded by mu; nil unless it runs
	state   tab.State     // guarded by mu
	changed chan struct{} // guarded by mu; closed at the next change
}

func newLife(b boot, cfg node.Config, shared bool) *life {
	return &life{
		cfg: cfg, cores: max(b.Cores, 1), changed: make(chan struct{}),
		state: tab.State{Phase: tab.Starting, Shared: shared, Workers: cfg.Workers, Settings: b.Settings},
	}
}

// set changes the state with fn and tells who watches.
func (l *life) set(fn func(*tab.State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn(&l.state)
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *life) start() {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.open()
}

// open starts the node. turn is held.
func (l *life) open() {
	l.set(func(s *tab.State) { s.Phase, s.Reason, s.Kind = tab.Starting, "", "" })
	n, err := node.Start(context.Background(), l.cfg)
	if err != nil {
		phase := tab.Failed
		if errors.Is(err, node.ErrNoMesh) {
			phase = tab.Unjoined
		}
		l.set(func(s *tab.State) { s.Phase, s.Reason, s.Kind = phase, messageOf(err), api.KindOf(err).String() })
		return
	}
	st, err := n.Status(context.Background())
	l.set(func(s *tab.State) {
		l.node = n
		s.Phase, s.Volatile = tab.Running, n.Volatile()
		if err == nil {
			s.Node, s.Name, s.Mesh = st.Node, st.Name, st.Mesh
		}
	})
	l.offer()
}

// close stops the node if it runs. turn is held.
func (l *life) close(phase string) error {
	l.mu.Lock()
	n := l.node
	l.node = nil
	l.mu.Unlock()
	l.set(func(s *tab.State) { s.Phase = phase })
	if n == nil {
		return nil
	}
	return n.Close()
}

// offer tells the node what the settings allow others.
func (l *life) offer() {
	l.set(func(s *tab.State) {
		if s.Offered = 0; l.node != nil {
			s.Offered = s.Settings.Offer(l.cores, l.cfg.Workers)
			l.node.Throttle(s.Settings.Share(l.cores))
			l.node.Offer(s.Offered)
		}
	})
}

func messageOf(err error) string {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Message()
	}
	return err.Error()
}

// State implements tab.Host.
func (l *life) State() tab.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// Watch implements tab.Host.
func (l *life) Watch(ctx context.Context, fn func(tab.State) error) error {
	for {
		l.mu.Lock()
		s, changed := l.state, l.changed
		l.mu.Unlock()
		if err := fn(s); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return api.E("kernel.watch", api.Other, ctx.Err())
		}
	}
}

// Node implements tab.Host.
func (l *life) Node() (tab.Backend, error) {
	const op = "kernel.node"
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.node != nil:
		return l.node, nil
	case l.state.Phase == tab.Unjoined:
		return nil, node.ErrNoMesh
	case l.state.Phase == tab.Failed:
		return nil, api.Errorf(op, api.Unavailable, "this tab's node failed: "+l.state.Reason)
	}
	return nil, api.Errorf(op, api.Unavailable, "this tab's node is not running")
}

// Join implements tab.Host.
func (l *life) Join(ctx context.Context, invite string, leave bool) error {
	return l.aside(func() error {
		cfg := l.cfg
		cfg.LeaveMesh = leave
		_, err := node.Join(ctx, cfg, invite)
		return err
	})
}

// Leave implements tab.Host.
func (l *life) Leave(ctx context.Context) error {
	return l.aside(func() error { return node.Leave(ctx, l.cfg) })
}

// Import implements tab.Host.
func (l *life) Import(ctx context.Context, secret string) error {
	return l.aside(func() error { return node.ImportIdentity(ctx, l.cfg, secret) })
}

// aside has fn work on the store of the stopped node, and starts it again, as it
// was before when that failed.
func (l *life) aside(fn func() error) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	err := l.close(tab.Starting)
	if err == nil {
		err = fn()
	}
	l.set(func(s *tab.State) { s.Node, s.Name, s.Mesh = api.NodeID{}, "", api.NodeID{} })
	l.open()
	return err
}

// Secret implements tab.Host.
func (l *life) Secret(ctx context.Context) (string, error) {
	l.turn.Lock() // else the node could open its store meanwhile
	defer l.turn.Unlock()
	l.mu.Lock()
	n := l.node
	l.mu.Unlock()
	if n != nil {
		return identity.FormatSecretFile(n.Identity()), nil
	}
	id, err := node.Identity(ctx, l.cfg)
	if err != nil {
		return "", err
	}
	return identity.FormatSecretFile(id), nil
}

// Configure implements tab.Host.
func (l *life) Configure(settings tab.Settings) error {
	if settings.CPUCap < 0 || settings.CPUCap > 100 || settings.Workers < 0 {
		return api.Errorf("kernel.configure", api.Invalid, "a CPU cap is 1 to 100 percent")
	}
	l.set(func(s *tab.State) { s.Settings = settings })
	l.offer()
	return nil
}

// Stop implements tab.Host.
func (l *life) Stop(context.Context) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.close(tab.Stopped)
}
