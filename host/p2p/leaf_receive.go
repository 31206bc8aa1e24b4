package p2p

import (
	"slices"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// receive takes what the worker says until the link ends.
func (l *leaf) receive() {
	for {
		m, err := l.link.Receive(l.owner.ctx)
		if err == nil {
			var f frame
			if f, err = decodeFrame(m); err == nil {
				err = l.take(f)
			}
		}
		if err != nil {
			l.link.Close()
			l.end(err)
			return
		}
	}
}

// end fails everything that waits for the worker.
func (l *leaf) end(err error) {
	l.mu.Lock()
	if l.ended != nil {
		l.mu.Unlock()
		return
	}
	l.ended = api.E("p2p.link", api.Closed, because("the network worker has ended; reload the page to start it again", err))
	conns, streams, dials := l.conns, l.streams, l.dials
	l.conns, l.streams, l.dials = map[uint32]*leafConn{}, map[uint32]*leafStream{}, map[uint32]chan<- error{}
	clear(l.peers)
	l.mu.Unlock()
	for _, s := range streams {
		s.fail(l.ended)
	}
	for _, done := range dials {
		done <- l.ended
	}
	for _, c := range conns {
		l.owner.disconnected(c)
	}
}

// take acts on one frame. An error means that the worker does not keep to what
// was agreed.
func (l *leaf) take(f frame) error {
	switch f.kind {
	case layout.NetConnected:
		return l.connected(f)
	case layout.NetGone:
		l.gone(f.conn)
	case layout.NetDialed:
		l.dialed(f)
	case layout.NetOpened:
		return l.streamOpened(f)
	case layout.NetAccept:
		return l.accept(f)
	case layout.NetAddrs:
		l.mu.Lock()
		l.own = f.lines()
		l.mu.Unlock()
	case layout.NetData, layout.NetCredit, layout.NetEnd, layout.NetReset:
		l.mu.Lock()
		s := l.streams[f.id]
		l.mu.Unlock()
		if s != nil { // one that was reset here may still have frames under way
			return s.take(f)
		}
	default:
		return api.Errorf("p2p.link", api.Invalid, "the network worker sends what only the kernel says")
	}
	return nil
}

func (l *leaf) connected(f frame) error {
	n, addr, ok := f.named()
	inbound := f.code == 1
	c := &leafConn{l: l, id: f.conn, node: n, address: addr, dialed: inbound, since: time.Now()}
	l.mu.Lock()
	_, taken := l.conns[f.conn]
	full := len(l.conns) >= maxLeafConns
	l.mu.Unlock()
	if !ok || taken || f.conn == 0 {
		return api.Errorf("p2p.link", api.Invalid, "the network worker numbers a connection twice or names no node")
	}
	if n == l.owner.id || full || !l.owner.roomFor(n, inbound) {
		if n == l.owner.id {
			l.owner.counts.sameKey.Add(1)
		} else {
			l.owner.counts.refused.Add(1)
		}
		l.tell(frame{kind: layout.NetHangUp, conn: f.conn})
		return nil
	}
	l.owner.connected(c) // before streams can be opened or accepted
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[f.conn] = c
	p := l.peers[n]
	if p == nil {
		p = &leafConns{}
		l.peers[n] = p
	}
	p.list = append(p.list, c)
	return nil
}

func (l *leaf) gone(id uint32) {
	l.mu.Lock()
	c := l.conns[id]
	if c == nil {
		l.mu.Unlock()
		return
	}
	delete(l.conns, id)
	p := l.peers[c.node]
	p.list = slices.DeleteFunc(p.list, func(o *leafConn) bool { return o == c })
	if len(p.list) == 0 {
		delete(l.peers, c.node)
	}
	var lost []*leafStream
	for _, s := range l.streams {
		if s.over == c {
			lost = append(lost, s)
			delete(l.streams, s.id)
		}
	}
	l.mu.Unlock()
	for _, s := range lost {
		s.fail(errStreamLost)
	}
	l.owner.disconnected(c)
}

func (l *leaf) dialed(f frame) {
	l.mu.Lock()
	done := l.dials[f.id]
	delete(l.dials, f.id)
	l.mu.Unlock()
	switch {
	case done == nil: // its caller has gone
	case f.code == 0:
		done <- nil
	case api.Kind(f.code) == api.Exists:
		done <- errOwnKey
	default:
		done <- f.failure("p2p.dial")
	}
}

func (l *leaf) streamOpened(f frame) error {
	l.mu.Lock()
	s, c := l.streams[f.id], l.conns[f.conn]
	switch {
	case s == nil || s.failed() != nil: // reset meanwhile; the worker was told
		l.mu.Unlock()
		return nil
	case s.over != nil:
		l.mu.Unlock()
		return api.Errorf("p2p.link", api.Invalid, "the network worker opens a stream twice")
	case c == nil: // the connection was hung up while the worker opened the stream
		l.mu.Unlock()
		if s.fail(errStreamLost) {
			l.forget(s)
			l.tell(frame{kind: layout.NetReset, id: s.id})
		}
		return nil
	}
	s.over = c
	close(s.opened)
	l.mu.Unlock()
	return nil
}

// accept starts the handler of a stream that a peer opened.
func (l *leaf) accept(f frame) error {
	fn := l.handlers[string(f.payload)]
	l.mu.Lock()
	c := l.conns[f.conn]
	if f.id == 0 || f.id%2 != 0 || l.streams[f.id] != nil {
		l.mu.Unlock()
		return api.Errorf("p2p.link", api.Invalid, "the network worker numbers a stream wrongly")
	}
	if c == nil || fn == nil || len(l.streams) >= layout.NetMaxStreams {
		l.mu.Unlock()
		l.tell(frame{kind: layout.NetReset, id: f.id, code: uint8(api.Exhausted)})
		return nil
	}
	s := newLeafStream(l, f.id)
	s.over = c
	l.streams[f.id] = s
	l.mu.Unlock()
	if !l.owner.goWork(func() { fn(s) }) {
		_ = s.Reset()
	}
	return nil
}
