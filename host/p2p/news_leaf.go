package p2p

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"inos/kernel/api"
)

// floodProtocol is floodsub, which gossipsub's nodes speak to peers that keep no
// mesh of their own: they send such a peer all news of the topics it asked for,
// and take its own. So a tab gets its news from every hub it is connected to
// without a protocol of INOS's own, signed by its author and no one else.
//
// Source: libp2p specs, pubsub/README.
const floodProtocol = "/floodsub/1.0.0"

const (
	leafQueue    = 64               // messages that wait for one peer; later ones are dropped, as gossipsub does
	floodRetry   = time.Second      // the first pause before a lost stream of news is opened again
	floodRetries = 6                // failures in a row, each pause twice the one before; then the next connection tries
	maxSeen      = 4096             // messages remembered, so that two hubs' copies are delivered once
	floodRate    = 4 * newsRate     // messages a second taken from one peer, which forwards those of many authors
	floodBurst   = 2 * newsBurst    // messages at once
	maxFloodRPC  = MaxNews + 8<<10  // bytes of one message of floodsub
	floodPause   = 10 * time.Second // a write that takes longer loses the stream
)

// leafNews is the news of a leaf.
type leafNews struct {
	l     *leaf
	retry time.Duration // floodRetry; less in tests
	seq   atomic.Uint64 // of this node's last message; above every earlier run's

	mu     sync.Mutex
	topics map[string]*leafTopic        // guarded by mu; at most maxTopics
	out    map[api.NodeID]chan<- []byte // guarded by mu; one per admitted peer
	seen   seenNews                     // guarded by mu
}

type leafTopic struct {
	validate func(api.NodeID, []byte) bool
	queue    chan newsItem // capacity topicQueue
}

type newsItem struct {
	from api.NodeID
	data []byte
}

func newLeafNews(l *leaf) *leafNews {
	n := &leafNews{l: l, retry: floodRetry, topics: make(map[string]*leafTopic), out: make(map[api.NodeID]chan<- []byte)}
	n.seq.Store(uint64(time.Now().UnixNano()))
	return n
}

func (n *leafNews) subscribe(topic string, validate func(api.NodeID, []byte) bool, fn func(api.NodeID, []byte)) error {
	const op = "p2p.subscribe"
	t := &leafTopic{validate: validate, queue: make(chan newsItem, topicQueue)}
	n.mu.Lock()
	if n.topics[topic] != nil {
		n.mu.Unlock()
		return api.Errorf(op, api.Exists, "the topic "+topic+" has a subscriber already")
	}
	if len(n.topics) >= maxTopics {
		n.mu.Unlock()
		return api.Errorf(op, api.Exhausted, "a node joins at most 64 topics")
	}
	n.topics[topic] = t
	n.mu.Unlock()
	n.broadcast(encodeFlood(floodRPC{topics: []string{topic}}))
	ctx := n.l.owner.ctx
	if !n.l.owner.goWork(func() {
		for {
			select {
			case m := <-t.queue:
				fn(m.from, m.data)
			case <-ctx.Done():
				return
			}
		}
	}) {
		return closedError(op)
	}
	return nil
}

func (n *leafNews) publish(topic string, data []byte) error {
	if n.l.owner.ctx.Err() != nil {
		return closedError("p2p.publish")
	}
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], n.seq.Add(1))
	m := signFlood(n.l.owner.cfg.Key, floodMessage{topic: topic, seq: seq[:], data: data})
	n.broadcast(encodeFlood(floodRPC{messages: []floodMessage{m}}))
	return nil
}

// broadcast hands b to every connected member; who is too slow misses it.
func (n *leafNews) broadcast(b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, out := range n.out {
		select {
		case out <- b:
		default:
		}
	}
}

// admitted tells a member what this node wants to hear, and keeps a stream for
// what it says, until the member is gone.
func (n *leafNews) admitted(peer api.NodeID) {
	h := n.l.owner
	h.mu.Lock()
	r := h.peers[peer]
	h.mu.Unlock()
	if r == nil {
		return
	}
	out := make(chan []byte, leafQueue)
	n.mu.Lock()
	n.out[peer] = out
	n.mu.Unlock()
	started := h.goWork(func() {
		n.speak(r, out)
		n.silence(peer, out)
	})
	if !started {
		n.silence(peer, out)
	}
}

// silence forgets a peer's queue, unless a new connection has replaced it.
func (n *leafNews) silence(peer api.NodeID, out chan<- []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.out[peer] == out {
		delete(n.out, peer)
	}
}

// speak writes to one peer until it leaves or will not listen.
func (n *leafNews) speak(r *remote, out <-chan []byte) {
	pause, failures := n.retry, 0
	for failures < floodRetries {
		if n.write(r, out) {
			pause, failures = n.retry, 0
		} else {
			failures++
		}
		timer := time.NewTimer(pause)
		pause *= 2
		select {
		case <-timer.C:
		case <-r.gone:
			timer.Stop()
			return
		case <-n.l.owner.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// write opens a stream and writes until it fails; true when something was
// written.
func (n *leafNews) write(r *remote, out <-chan []byte) bool {
	ctx, cancel := context.WithTimeout(n.l.owner.ctx, admitWait)
	s, err := n.l.stream(ctx, r.id, floodProtocol)
	cancel()
	if err != nil {
		return false
	}
	defer func() { _ = s.Reset() }()
	ended := make(chan struct{})
	go func() { // the peer sends nothing here; the end of its side is the end of the stream
		_, _ = io.Copy(io.Discard, s)
		close(ended)
	}()
	next, wrote := encodeFlood(floodRPC{topics: n.topicNames()}), false
	for {
		_ = s.SetWriteDeadline(time.Now().Add(floodPause))
		if _, err := s.Write(next); err != nil {
			return wrote
		}
		wrote = true
		select {
		case next = <-out:
		case <-ended:
			return wrote
		case <-r.gone:
			return wrote
		case <-n.l.owner.ctx.Done():
			return wrote
		}
	}
}

func (n *leafNews) topicNames() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	names := make([]string, 0, len(n.topics))
	for t := range n.topics {
		names = append(names, t)
	}
	return names
}

// serve reads what a member says, until its stream ends.
func (n *leafNews) serve(s stream) {
	h, peer := n.l.owner, s.conn().peer()
	h.serveStream(s, func(r *remote) {
		defer func() { _ = s.Reset() }()
		br := bufio.NewReaderSize(s, laneRead)
		pace := newPace(floodRate, floodBurst)
		for {
			b, err := readFlood(br)
			if err == nil && !h.cfg.Member(peer) {
				h.counts.refused.Add(1)
				return
			}
			var rpc floodRPC
			if err == nil {
				rpc, err = decodeFlood(b)
			}
			if err != nil {
				h.badPeer(peer, err)
				return
			}
			for _, m := range rpc.messages {
				if !pace.wait(h.ctx, r.gone) {
					return
				}
				if err := n.deliver(m); err != nil {
					h.badPeer(peer, err)
					return
				}
			}
		}
	})
}

// deliver hands a message to its subscriber. An error means that the peer
// forwards what it cannot have verified.
func (n *leafNews) deliver(m floodMessage) error {
	n.mu.Lock()
	t := n.topics[m.topic]
	fresh := t != nil && !n.seen.has(m)
	n.mu.Unlock()
	if !fresh || m.from == n.l.owner.id {
		return nil
	}
	if !verifyFlood(m) {
		return api.Errorf("p2p.news", api.Invalid, "news without its author's signature")
	}
	n.mu.Lock()
	first := n.seen.add(m)
	n.mu.Unlock()
	// Its forwarder may know a member that this node does not yet.
	if !first || !n.l.owner.cfg.Member(m.from) || len(m.data) > MaxNews {
		return nil
	}
	if t.validate != nil && !t.validate(m.from, m.data) {
		return nil
	}
	select {
	case t.queue <- newsItem{m.from, m.data}:
	default: // a slow subscriber loses messages
	}
	return nil
}

// seenNews remembers the last messages by author and number, in two halves of
// maxSeen/2: when one is full the other starts anew.
type seenNews struct{ young, old map[seenKey]struct{} }

type seenKey struct {
	from api.NodeID
	seq  [8]byte
}

func (s *seenNews) key(m floodMessage) seenKey {
	k := seenKey{from: m.from}
	copy(k.seq[:], m.seq)
	return k
}

func (s *seenNews) has(m floodMessage) bool {
	k := s.key(m)
	_, young := s.young[k]
	_, old := s.old[k]
	return young || old
}

// add records m; false when it was there.
func (s *seenNews) add(m floodMessage) bool {
	if s.has(m) {
		return false
	}
	if s.young == nil || len(s.young) >= maxSeen/2 {
		s.old, s.young = s.young, make(map[seenKey]struct{})
	}
	s.young[s.key(m)] = struct{}{}
	return true
}
