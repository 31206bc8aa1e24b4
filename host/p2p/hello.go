package p2p

import (
	"context"
	"errors"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// helloTime bounds an introduction, dial included.
const helloTime = 15 * time.Second

// introduce connects to n and exchanges introductions. Concurrent calls for one
// peer share the work.
func (h *Host) introduce(ctx context.Context, n api.NodeID, addrs []string) error {
	const op = "p2p.connect"
	if h.Connected(n) {
		return nil
	}
	result := h.flights.DoChan(string(n[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(h.ctx, helloTime)
		defer cancel()
		return nil, h.introduceNow(ctx, n, addrs)
	})
	select {
	case r := <-result:
		return r.Err
	case <-ctx.Done():
		return api.E(op, api.Other, ctx.Err())
	case <-h.ctx.Done():
		return closedError(op)
	}
}

func (h *Host) introduceNow(ctx context.Context, n api.NodeID, addrs []string) error {
	const op = "p2p.connect"
	if h.Connected(n) {
		return nil
	}
	if err := h.dial(ctx, op, n, addrs); err != nil {
		return err
	}
	h.mu.Lock()
	r := h.peers[n]
	if r == nil {
		h.mu.Unlock()
		return api.Errorf(op, api.Unavailable, "the node "+n.Short()+" hung up")
	}
	r.introducing++
	h.mu.Unlock()
	err := h.sayHello(ctx, n)
	h.mu.Lock()
	r.introducing--
	drop := err != nil && !r.admitted
	h.mu.Unlock()
	if drop {
		_ = h.net.closePeer(n)
	}
	return err
}

// dial makes the connection and says in words why there is none.
func (h *Host) dial(ctx context.Context, op string, n api.NodeID, addrs []string) error {
	err := h.net.dial(ctx, n, addrs)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errOwnKey):
		return h.selfDial(op, addrs)
	case h.ctx.Err() != nil:
		return closedError(op)
	case ctx.Err() != nil:
		return api.E(op, api.Timeout, because("the node "+n.Short()+" does not answer; check its address and that it is up", err))
	}
	return api.E(op, api.Unavailable, because("the node "+n.Short()+" is not reachable; check its address, that it is up, and that it admits this node", err))
}

// sayHello sends this node's introduction and judges the answer.
func (h *Host) sayHello(ctx context.Context, n api.NodeID) error {
	const op = "p2p.connect"
	s, err := h.net.stream(ctx, n, helloProtocol)
	if err != nil {
		return api.E(op, api.Unavailable, err)
	}
	defer func() { _ = s.Reset() }()
	_ = s.SetDeadline(time.Now().Add(admitWait))
	start := time.Now()
	if err := h.writeHello(s, nil); err != nil {
		return transferError(op, n, err)
	}
	hello, err := readHello(s)
	if err != nil {
		return transferError(op, n, err)
	}
	if hello.Message != "" {
		if h.cfg.OnRefused != nil {
			h.cfg.OnRefused(n, refusalKind(hello.Kind), hello.Message)
		}
		return api.Errorf(op, refusalKind(hello.Kind), "the node "+n.Short()+" refuses: "+hello.Message)
	}
	if err := h.judge(n, hello, s.conn()); err != nil {
		return err
	}
	if r, err := h.member(ctx, op, n); err == nil {
		r.observeRTT(time.Since(start))
	}
	return nil
}

// serveHello answers an introduction.
func (h *Host) serveHello(s stream) {
	n := s.conn().peer()
	_ = s.SetDeadline(time.Now().Add(admitWait))
	hello, err := readHello(s)
	if err != nil {
		h.badPeer(n, err)
		_ = s.Reset()
		return
	}
	refusal := h.judge(n, hello, s.conn())
	if refusal != nil {
		h.counts.refused.Add(1)
		if errors.Is(refusal, api.Exists) && h.cfg.OnBadPeer != nil {
			h.cfg.OnBadPeer(n, refusal)
		}
	}
	if err := h.writeHello(s, refusal); err != nil {
		_ = s.Reset()
		return
	}
	_ = s.Close()
}

// judge admits n or says why not.
func (h *Host) judge(n api.NodeID, hello wire.Hello, c conn) error {
	const op = "p2p.admit"
	if h.cfg.Admit != nil && len(hello.Credential) > 0 {
		if err := h.cfg.Admit(n, hello.Credential); err != nil {
			return api.E(op, api.Other, err)
		}
	}
	if !h.cfg.Member(n) {
		return api.Errorf(op, api.Denied, "not a member of this mesh; join with an invite from its owner")
	}
	return h.admit(n, hello.Instance, c)
}

func (h *Host) writeHello(s stream, refusal error) error {
	hello := wire.Hello{Instance: h.instance}
	if refusal != nil {
		hello.Kind, hello.Message = refusalKind(api.KindOf(refusal)), messageOf(refusal)
	} else if h.cfg.Credential != nil {
		hello.Credential = h.cfg.Credential()
	}
	b, err := wire.EncodeHello(hello)
	if err != nil {
		return err
	}
	return writeFrame(s, b)
}

func readHello(s stream) (wire.Hello, error) {
	b, err := readFrame(s, wire.MaxHelloFrame, nil)
	if err != nil {
		return wire.Hello{}, err
	}
	return wire.DecodeHello(b)
}

// refusalKind replaces Other, which would tell the refused nothing.
func refusalKind(k api.Kind) api.Kind {
	if k == api.Other {
		return api.Denied
	}
	return k
}
