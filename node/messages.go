package node

import (
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/syscall"
	"inos/kernel/wire"
)

// messages carries messages between modules: those that modules here send, and
// those for modules here, which wait in mailboxes.
//
// A message has a sequence, which rises with each from one module to one node.
// The sender keeps one under way to a node and repeats it until it has an answer;
// the receiver remembers the last of each sender and answers a repeated one with
// the receipt it gave before. So a module gets what another sent in order and at
// most once, whatever connections do. The sequences of a process begin at the
// clock, so they go on rising after a restart; should the clock have gone back,
// the receiver says how far it is.
type messages struct {
	n      *Node
	kernel *syscall.Kernel

	mu    sync.Mutex
	out   map[sender]*outgoing  // guarded by mu; at most maxSenders
	floor uint64                // guarded by mu; no forgotten way was further
	boxes map[api.Hash]*mailbox // guarded by mu; at most maxBoxes
}

// Bounds of messages.
const (
	maxSenders   = 4096 // pairs of module and node remembered as messages were sent between them
	maxSequence  = 1 << 53
	maxBoxes     = 256 // modules here that take messages
	messageTime  = 10 * time.Second
	messageRetry = 50 * time.Millisecond // doubles up to messageTime
)

// sender names the way of messages from a module here to a node.
type sender struct {
	module api.Hash
	to     api.NodeID
}

// outgoing is such a way. turn is full while a message is under way.
type outgoing struct {
	turn  chan struct{} // capacity 1; guards last
	last  uint64        // sequence of the last message
	users int           // guarded by messages.mu; messages under way or waiting for their turn
}

func openMessages(n *Node, k *syscall.Kernel) (*messages, error) {
	m := &messages{n: n, kernel: k, out: map[sender]*outgoing{}, boxes: map[api.Hash]*mailbox{}}
	return m, m.load()
}

// send delivers one message into a mailbox here or elsewhere and returns the
// verified receipt. When it fails with Timeout or Canceled, whether the message
// arrived is unknown; it is not sent again.
func (m *messages) send(ctx context.Context, from api.Hash, to api.NodeID, name string, data []byte) (wire.MessageReceipt, error) {
	if to.IsZero() {
		to = m.n.id.ID()
	}
	way, err := m.way(sender{from, to})
	if err != nil {
		return wire.MessageReceipt{}, err
	}
	defer m.leave(way)
	select {
	case way.turn <- struct{}{}:
	case <-ctx.Done():
		return wire.MessageReceipt{}, api.E("node.sendmessage", api.Other, ctx.Err())
	}
	defer func() { <-way.turn }()
	way.last++
	msg := wire.ModuleMessage{From: from, Module: name, Sequence: way.last, SentMS: time.Now().UnixMilli(), Data: data}
	return m.repeat(ctx, to, way, msg)
}

// way finds or makes the way of messages; one not in use makes room. Sequences
// begin at the clock, and after those of every way that was forgotten: this may
// be one of them.
func (m *messages) way(key sender) (*outgoing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.out[key]
	if w == nil {
		if len(m.out) >= maxSenders && !m.forgetWay() {
			return nil, api.Errorf("node.sendmessage", api.Exhausted, "modules here are sending messages on 4,096 ways; wait for some to arrive")
		}
		w = &outgoing{turn: make(chan struct{}, 1), last: max(uint64(time.Now().UnixMicro()), m.floor)}
		m.out[key] = w
	}
	w.users++
	return w, nil
}

func (m *messages) leave(w *outgoing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.users--
}

// forgetWay forgets one way that nothing is on; false when there is none. mu is
// held.
func (m *messages) forgetWay() bool {
	for key, w := range m.out {
		if w.users == 0 {
			m.floor = max(m.floor, min(w.last, uint64(time.Now().UnixMicro()))) // a receiver may have said that it is further: it will say so again
			delete(m.out, key)
			return true
		}
	}
	return false
}

// repeat sends a message until it is answered.
func (m *messages) repeat(ctx context.Context, to api.NodeID, way *outgoing, msg wire.ModuleMessage) (wire.MessageReceipt, error) {
	const op = "node.sendmessage"
	wait := messageRetry
	jumped, repeated := false, false
	for {
		reply, err := m.attempt(ctx, to, msg)
		switch {
		case err == nil && reply.Receipt != nil:
			return *reply.Receipt, m.verify(*reply.Receipt, to, msg)
		case err == nil && reply.Behind >= maxSequence:
			return wire.MessageReceipt{}, api.Errorf(op, api.Unverified, "the receiving node claims a sequence that no message has")
		case err == nil && !jumped && !repeated: // this process's clock began behind an earlier one's
			jumped = true
			way.last = reply.Behind + 1
			msg.Sequence = way.last
			continue
		case err == nil:
			return wire.MessageReceipt{}, api.Errorf(op, api.Conflict, "the receiving node is ahead of this one; whether the message arrived is unknown")
		case ctx.Err() != nil:
			return wire.MessageReceipt{}, api.E(op, api.Other, ctx.Err())
		case !worthRepeating(err):
			return wire.MessageReceipt{}, err
		}
		repeated = true
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return wire.MessageReceipt{}, api.E(op, api.Other, ctx.Err())
		}
		wait = min(2*wait, messageTime)
	}
}

// worthRepeating reports whether the next attempt may fare better: the node was
// not reached, or left before it answered.
func worthRepeating(err error) bool {
	switch api.KindOf(err) {
	case api.Unavailable, api.Timeout, api.Closed:
		return true
	}
	return false
}

// attempt sends a message once.
func (m *messages) attempt(ctx context.Context, to api.NodeID, msg wire.ModuleMessage) (wire.MessageReply, error) {
	if to == m.n.id.ID() {
		return m.accept(ctx, to, msg)
	}
	b, err := wire.EncodeModuleMessage(msg)
	if err != nil {
		return wire.MessageReply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, messageTime)
	defer cancel()
	if b, err = m.n.net.Call(ctx, to, methodMessage, b); err != nil {
		return wire.MessageReply{}, err
	}
	return wire.DecodeMessageReply(b)
}

// verify checks that a receipt is the node's word for this very message.
func (m *messages) verify(r wire.MessageReceipt, to api.NodeID, msg wire.ModuleMessage) error {
	if r.FromNode != m.n.id.ID() || r.FromModule != msg.From || r.ToNode != to || r.Sequence != msg.Sequence ||
		r.Digest != blake3.Sum256(msg.Data) || !ed25519.Verify(to[:], wire.ReceiptSigning(r), r.Sig[:]) {
		return api.Errorf("node.sendmessage", api.Unverified, "the receipt of the receiving node is not for this message, or not signed by it")
	}
	return nil
}

// handleMessage takes a message from another node, which the connection proves.
// Which module sent it is that node's word.
func (n *Node) handleMessage(ctx context.Context, from api.NodeID, req []byte) ([]byte, error) {
	msg, err := wire.DecodeModuleMessage(req)
	if err != nil {
		return nil, err
	}
	reply, err := n.syscalls.messages.accept(ctx, from, msg)
	if err != nil {
		return nil, err
	}
	return wire.EncodeMessageReply(reply)
}

// accept puts a message into its module's mailbox, once.
func (m *messages) accept(ctx context.Context, from api.NodeID, msg wire.ModuleMessage) (wire.MessageReply, error) {
	box, err := m.box(ctx, msg.Module)
	if err != nil {
		return wire.MessageReply{}, err
	}
	return box.accept(from, msg)
}

// box finds the mailbox of a module that may receive here.
func (m *messages) box(ctx context.Context, name string) (*mailbox, error) {
	const op = "node.message"
	if !m.receives() {
		return nil, api.Errorf(op, api.Denied, "no module of this node takes messages; its owner allows it with receive=yes")
	}
	mayReceive := func(d *module.Description) bool { return m.kernel.Rule(d).Receive }
	// What its record says first: a stranger's message has no module's file fetched
	// that the owner does not let receive.
	var d *module.Description
	var link api.Link
	allowed, err := m.n.modules.allows(ctx, name, mayReceive)
	if err == nil && allowed {
		d, link, err = m.n.modules.find(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	if !allowed || !mayReceive(d) {
		return nil, api.Errorf(op, api.Denied, "the module "+name+" takes no messages on this node; its owner allows it with receive=yes")
	}
	if d.Manifest.Inbox == "" {
		return nil, api.Errorf(op, api.Unsupported, "the module "+d.Manifest.Name+" takes no messages: its manifest names no inbox")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[d.Hash]
	if b == nil {
		if len(m.boxes) >= maxBoxes && !m.forgetBox() {
			return nil, api.Errorf(op, api.Exhausted, "256 modules of this node have mailboxes in use, which is all it takes")
		}
		b = newMailbox(m.n, d.Hash)
		m.boxes[d.Hash] = b
	}
	b.know(d, link)
	return b, nil
}

// forgetBox forgets a mailbox without letters that took none for longer than
// any sender repeats one; false when there is none. mu is held.
func (m *messages) forgetBox() bool {
	for h, b := range m.boxes {
		if b.close(true) {
			delete(m.boxes, h)
			return true
		}
	}
	return false
}

// forget drops the mailbox of a module that was removed, with what lies in it.
func (m *messages) forget(h api.Hash) {
	m.mu.Lock()
	b := m.boxes[h]
	delete(m.boxes, h)
	m.mu.Unlock()
	if b != nil {
		b.close(false)
	}
}

// receives reports whether any module may receive, before one is looked for.
func (m *messages) receives() bool {
	for _, r := range m.n.cfg.Syscalls.Policy.Rules {
		if r.Receive {
			return true
		}
	}
	return false
}

// start delivers what waited when the node stopped.
func (m *messages) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.boxes {
		b.mu.Lock()
		b.pump()
		b.mu.Unlock()
	}
}

// run hands one message to the module's inbox through the worker's queue. The
// message leaves the mailbox when its turn has come, before the guest sees it.
func (m *messages) run(ctx context.Context, d *module.Description, link api.Link, from api.NodeID, msg wire.ModuleMessage, took func() error) error {
	if !m.kernel.Rule(d).Receive { // the owner may have changed his mind since it arrived
		return api.Errorf("node.message", api.Denied, "the module "+d.Manifest.Name+" takes no messages on this node any more")
	}
	call, err := d.InboxCall(from, msg)
	if err != nil {
		return err
	}
	id := api.RandomID()
	spec := api.JobSpec{
		ID: id, Payer: m.n.id.ID(), Module: d.Hash, ModuleLink: link, Unit: call.Unit, Method: call.Method, Params: call.Params,
		Submitted: call.SubmittedMS, OutputKey: m.n.id.OutputKey(id),
	}
	call.Seed = blake3.Sum256(wire.ReceiptSigning(wire.MessageReceipt{
		FromNode: from, FromModule: msg.From, ToNode: m.n.id.ID(), ToModule: d.Hash, Sequence: msg.Sequence,
	}))
	w := m.n.worker
	loaded, err := w.module(ctx, spec)
	if err != nil {
		return err
	}
	v, err := w.supervisors.arrive(d.Hash, from, call.Seed) // a message that crashes the module counts against its node
	if err != nil {
		return err
	}
	key := attemptOf{job: id}
	if err := w.admit(ctx, spec, key); err != nil {
		v.left()
		return err
	}
	defer w.leave(key, time.Now())
	if err := v.begin(); err != nil {
		return err
	}
	defer v.ended()
	if err := took(); err != nil {
		return err
	}
	call.Syscalls = m.n.syscalls.session(d, spec, &call, from)
	res, err := loaded.Call(ctx, call)
	m.n.metrics.gas.Add(res.Gas)
	v.note(res.Gas, err)
	return err
}
