package p2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// chanLink is one end of a bounded link in memory.
type chanLink struct {
	in   <-chan []byte
	out  chan<- []byte
	done chan struct{}
	once *sync.Once
}

func newLink() (*chanLink, *chanLink) {
	a, b := make(chan []byte, 16), make(chan []byte, 16)
	done, once := make(chan struct{}), new(sync.Once)
	return &chanLink{a, b, done, once}, &chanLink{b, a, done, once}
}

func (l *chanLink) Send(ctx context.Context, parts ...[]byte) error {
	var m []byte
	for _, p := range parts {
		m = append(m, p...)
	}
	select {
	case l.out <- m:
		return nil
	case <-l.done:
		return api.Errorf("test", api.Closed, "closed")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *chanLink) Receive(ctx context.Context) ([]byte, error) {
	select {
	case m := <-l.in:
		return m, nil
	case <-l.done:
		return nil, api.Errorf("test", api.Closed, "closed")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *chanLink) Close() { l.once.Do(func() { close(l.done) }) }

// worker is a network worker in Go: the other side of a Link, over go-libp2p. It
// shows that a leaf needs nothing but what the link says.
type worker struct {
	t    testing.TB
	link *chanLink
	h    host.Host

	mu      sync.Mutex
	conns   map[network.Conn]uint32
	byID    map[uint32]network.Conn
	streams map[uint32]*workerStream
	last    uint32
	lastID  uint32
}

type workerStream struct {
	s      network.Stream
	credit chan uint32
	out    chan []byte // nil ends the direction
}

// leafHost starts a host that reaches the network through a worker.
func (m *testMesh) leafHost(tb testing.TB, edit func(*Config)) (*Host, *worker) {
	tb.Helper()
	key, id := newKey(tb)
	m.set(id, true)
	return m.leafWith(tb, key, edit)
}

func (m *testMesh) leafWith(tb testing.TB, key ed25519.PrivateKey, edit func(*Config)) (*Host, *worker) {
	tb.Helper()
	mine, its := newLink()
	w := &worker{t: tb, link: its, conns: make(map[network.Conn]uint32), byID: make(map[uint32]network.Conn), streams: make(map[uint32]*workerStream)}
	go w.run()
	h := m.host(tb, key, func(c *Config) {
		c.Listen, c.Link, c.dialAny = nil, mine, true
		if edit != nil {
			edit(c)
		}
	})
	return h, w
}

func (w *worker) tell(f frame, payload ...[]byte) {
	_ = w.link.Send(context.Background(), append([][]byte{f.head()}, payload...)...)
}

func (w *worker) run() {
	defer func() {
		if w.h != nil {
			_ = w.h.Close()
		}
	}()
	for {
		m, err := w.link.Receive(context.Background())
		if err != nil {
			return
		}
		f, err := decodeFrame(m)
		if err != nil {
			w.t.Error("the kernel sends", err)
			return
		}
		w.take(f)
	}
}

func (w *worker) take(f frame) {
	switch f.kind {
	case layout.NetStart:
		w.start(f)
	case layout.NetDial:
		n, addrs, _ := f.named()
		go w.dial(f.id, n, strings.Split(addrs, "\n"))
	case layout.NetUndial, layout.NetMember:
	case layout.NetHangUp:
		w.mu.Lock()
		c := w.byID[f.conn]
		w.mu.Unlock()
		if c != nil {
			_ = c.Close()
		}
	case layout.NetOpen:
		n, id, _ := f.named()
		st := w.add(f.id)
		go w.open(f.id, st, n, id)
	default:
		w.mu.Lock()
		st := w.streams[f.id]
		if f.kind == layout.NetReset {
			delete(w.streams, f.id)
		}
		w.mu.Unlock()
		if st == nil {
			return
		}
		switch f.kind {
		case layout.NetData:
			st.out <- append([]byte(nil), f.payload...)
		case layout.NetEnd:
			st.out <- nil
		case layout.NetCredit:
			st.credit <- f.value
		case layout.NetReset:
			if st.s != nil {
				_ = st.s.Reset()
			}
		}
	}
}

func (w *worker) start(f frame) {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(f.payload[:32]))
	if err != nil {
		w.t.Error(err)
		return
	}
	w.h, err = libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false))
	if err != nil {
		w.t.Error(err)
		return
	}
	w.h.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { w.number(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { w.tell(frame{kind: layout.NetGone, conn: w.number(c)}) },
	})
	for _, id := range strings.Split(string(f.payload[32:]), "\n") {
		w.h.SetStreamHandler(protocol.ID(id), func(s network.Stream) {
			conn := w.number(s.Conn())
			w.mu.Lock()
			w.lastID += 2
			sid := w.lastID
			w.mu.Unlock()
			st := w.add(sid)
			st.s = s
			w.tell(frame{kind: layout.NetAccept, id: sid, conn: conn}, []byte(id))
			w.pump(sid, st)
		})
	}
}

// number reports a connection the first time it is seen.
func (w *worker) number(c network.Conn) uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id := w.conns[c]; id != 0 {
		return id
	}
	w.last++
	w.conns[c], w.byID[w.last] = w.last, c
	n, _ := nodeOf(c.RemotePeer())
	w.tell(frame{kind: layout.NetConnected, conn: w.last}, n[:], []byte(c.RemoteMultiaddr().String()))
	return w.last
}

func (w *worker) dial(id uint32, n api.NodeID, addrs []string) {
	info, err := infoOf(n, addrs)
	if err == nil {
		err = w.h.Connect(context.Background(), info)
	}
	if err != nil {
		w.tell(frame{kind: layout.NetDialed, id: id, code: uint8(api.Unavailable)}, []byte(err.Error()[:min(len(err.Error()), 200)]))
		return
	}
	for _, c := range w.h.Network().ConnsToPeer(info.ID) {
		w.number(c)
	}
	w.tell(frame{kind: layout.NetDialed, id: id})
}

func (w *worker) add(id uint32) *workerStream {
	st := &workerStream{credit: make(chan uint32, 1024), out: make(chan []byte, 1024)}
	w.mu.Lock()
	w.streams[id] = st
	w.mu.Unlock()
	return st
}

func (w *worker) open(id uint32, st *workerStream, n api.NodeID, name string) {
	s, err := w.h.NewStream(network.WithNoDial(context.Background(), name), peerOf(n), protocol.ID(name))
	if err != nil {
		w.tell(frame{kind: layout.NetReset, id: id, code: uint8(api.Unavailable)}, []byte("no stream"))
		return
	}
	st.s = s
	w.tell(frame{kind: layout.NetOpened, id: id, conn: w.number(s.Conn())})
	w.pump(id, st)
}

// pump moves bytes both ways.
func (w *worker) pump(id uint32, st *workerStream) {
	go func() {
		for b := range st.out {
			if b == nil {
				_ = st.s.CloseWrite()
				return
			}
			if _, err := st.s.Write(b); err != nil {
				w.tell(frame{kind: layout.NetReset, id: id})
				return
			}
			w.tell(frame{kind: layout.NetCredit, id: id, value: uint32(len(b))})
		}
	}()
	go func() {
		credit := uint32(layout.NetWindow)
		buf := make([]byte, layout.NetMaxData)
		for {
			for credit == 0 {
				credit += <-st.credit
			}
			n, err := st.s.Read(buf[:min(credit, uint32(len(buf)))])
			if n > 0 {
				w.tell(frame{kind: layout.NetData, id: id}, buf[:n])
				credit -= uint32(n)
			}
			for more := true; more; {
				select {
				case c := <-st.credit:
					credit += c
				default:
					more = false
				}
			}
			switch {
			case errors.Is(err, io.EOF):
				w.tell(frame{kind: layout.NetEnd, id: id})
				return
			case refusedByPeer(err):
				w.tell(frame{kind: layout.NetReset, id: id, code: uint8(api.Denied)})
				return
			case err != nil:
				w.tell(frame{kind: layout.NetReset, id: id})
				return
			}
		}
	}()
}
