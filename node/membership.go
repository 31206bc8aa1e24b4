package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"inos/host/p2p"
	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/mesh"
	"inos/kernel/wire"
)

// Keys of the membership in the store's metadata.
const (
	keyMembership = "mesh/membership" // this node's own
	keyNews       = "mesh/news"       // every membership and revocation seen, as wire.News
	keyInvites    = "mesh/invites"    // a seed's invite records, JSON
	keySeq        = "mesh/seq"        // the last number of this node's capability, 8 bytes big-endian
)

// Gossip topics.
const (
	topicCapability = "inos/capability"
	topicNews       = "inos/news"
)

// capabilityEvery is the longest silence between two announcements of this
// node's capability.
const capabilityEvery = 45 * time.Second

// What is kept here for members is announced sooner, once it has moved by
// usageMoved bytes and a hundredth: after one to two usageEvery, so that the holders
// of one put do not speak at once, and no oftener.
const (
	usageEvery = 3 * time.Second
	usageMoved = 64 << 10
)

// openMembership loads this node's membership or, on a first start without an
// invite, founds a mesh of which this node is the seed, where nodes may.
func (n *Node) openMembership() error {
	meta, now := n.meta, time.Now().Unix()
	b, err := meta.Get(keyMembership)
	switch api.KindOf(err) {
	case api.NotFound:
		if n.member, err = n.found(now); err != nil {
			return err
		}
		if b, err = wire.EncodeMembership(n.member); err != nil {
			return err
		}
		if err := meta.Set(keyMembership, b); err != nil {
			return err
		}
	default:
		if err != nil {
			return err
		}
		if n.member, err = wire.DecodeMembership(b); err != nil {
			return err
		}
	}
	if n.member.Node != n.id.ID() {
		return api.Errorf("node.membership", api.Conflict, "the membership kept here belongs to another key; "+rekey)
	}
	if b, err := meta.Get(keySeq); err == nil && len(b) == 8 {
		n.capSeq.Store(binary.BigEndian.Uint64(b))
	}
	n.members = identity.NewMemberTable(n.member.Mesh)
	if n.member.Mesh == n.id.MeshRoot().ID() {
		n.root = n.id.MeshRoot()
	}
	if _, err := n.members.Merge(n.member, now); err != nil {
		return err
	}
	if b, err := meta.Get(keyNews); err == nil {
		if news, err := wire.DecodeNews(b); err == nil {
			for _, m := range news.Memberships {
				_, _ = n.members.Merge(m, now)
			}
			for _, r := range news.Revocations {
				_, _ = n.members.Revoke(r)
			}
		}
	}
	if n.isRevoked() {
		return n.revokedError()
	}
	return n.members.Allowed(n.id.ID(), now)
}

// saveMembers makes the member table durable.
func (n *Node) saveMembers() {
	b, err := wire.EncodeNews(wire.News{Memberships: n.members.Memberships(), Revocations: n.members.Revocations()})
	if err == nil {
		err = n.meta.Set(keyNews, b)
	}
	if err != nil {
		n.cfg.Log("saving the member list: %v", err)
	}
}

// credential is what this node shows to others when it connects.
func (n *Node) credential() []byte {
	b, _ := wire.EncodeMembership(n.member)
	return b
}

// admit judges a peer's membership.
func (n *Node) admit(peer api.NodeID, credential []byte) error {
	m, err := wire.DecodeMembership(credential)
	if err != nil {
		return err
	}
	now := time.Now().Unix()
	if m.Node != peer {
		return api.Errorf("node.admit", api.Unverified, "the membership is another node's")
	}
	changed, err := n.members.Merge(m, now)
	if err != nil {
		return err
	}
	if err := n.members.Allowed(peer, now); err != nil {
		return err
	}
	n.coord.step(mesh.MembershipReceived{Membership: m})
	if changed {
		n.saveMembers()
	}
	n.expectTabs(m)
	return nil
}

// shareMembers brings a freshly connected peer up to date.
func (n *Node) shareMembers(to api.NodeID) {
	news := wire.News{Memberships: n.members.Memberships(), Revocations: n.members.Revocations()}
	news.Modules, news.ModuleNames = n.modules.news()
	news.Capabilities = append(news.Capabilities, n.capability())
	for _, p := range n.peerRows() {
		if p.Seq > 0 && !p.Self {
			news.Capabilities = append(news.Capabilities, p.Capability)
		}
	}
	b, err := wire.EncodeNews(news)
	if err != nil {
		n.cfg.Log("news: %v", err)
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, callTimeout)
	defer cancel()
	if _, err := n.net.Call(ctx, to, methodNews, b); err != nil {
		n.cfg.Log("news to %s: %v", to.Short(), err)
	}
	if !n.releasePending(to) {
		n.releaseLater(to)
	}
}

// handleNews merges what a peer tells.
func (n *Node) handleNews(_ context.Context, _ api.NodeID, req []byte) ([]byte, error) {
	news, err := wire.DecodeNews(req)
	if err != nil {
		return nil, err
	}
	n.learn(news)
	return nil, nil
}

// learn merges news; every record in it carries its own signature.
func (n *Node) learn(news wire.News) {
	before, stood := n.members.Digest(), !n.isRevoked()
	for _, m := range news.Memberships {
		n.coord.step(mesh.MembershipReceived{Membership: m})
	}
	for _, r := range news.Revocations {
		n.coord.step(mesh.RevocationReceived{Revocation: r})
	}
	n.expectTabs(news.Memberships...)
	if n.members.Digest() != before {
		n.saveMembers()
		n.net.Recheck()
	}
	if stood && n.isRevoked() {
		n.cfg.Warn("%s", messageOf(n.revokedError()))
		n.emit("mesh:member:v1:revoked", n.id.ID().String(), nil)
	}
	var changed []api.NodeID
	for _, c := range news.Capabilities {
		if c.Node != n.id.ID() {
			n.coord.step(mesh.CapabilityReceived{Capability: c})
			changed = append(changed, c.Node)
		}
	}
	n.jobs.workerChanged(changed...)
	n.modules.learn(news.Modules, news.ModuleNames)
}

// capability describes what this node offers now.
func (n *Node) capability() api.Capability {
	u := n.store.Usage()
	waiting := n.worker.load()
	return identity.SignCapability(n.id, api.Capability{
		Seq: n.nextSeq(), Roles: n.member.Roles, Name: n.member.Name,
		Domain: n.cfg.Domain, Region: n.cfg.Region, Addrs: n.dialAddrs(),
		Free: u.Free, Used: u.Bytes, Cores: uint16(n.cfg.Workers), Workers: uint16(n.Offered()),
		Queue: uint16(min(waiting, 65535)), Prices: *n.cfg.Prices,
	})
}

// nextSeq numbers this node's capabilities: above every earlier one, of former
// runs too, and close to the clock, which helps when the record was lost.
func (n *Node) nextSeq() uint64 {
	for {
		last := n.capSeq.Load()
		next := max(last+1, uint64(time.Now().UnixMilli())<<8)
		if !n.capSeq.CompareAndSwap(last, next) {
			continue
		}
		if err := n.meta.SetLazy(keySeq, binary.BigEndian.AppendUint64(nil, next)); err != nil && n.ctx.Err() == nil {
			n.cfg.Log("the number of the announcement was not saved: %v", err)
		}
		return next
	}
}

// advertise announces the capability now and keeps it fresh.
func (n *Node) advertise() {
	n.publishCapability()
	n.spawn(func() {
		t := time.NewTicker(capabilityEvery)
		defer t.Stop()
		var look <-chan time.Time // nil while nothing moves
		for {
			select {
			case <-n.stirred:
				if look == nil {
					look = time.After(usageEvery + rand.N(usageEvery))
				}
			case <-look:
				look = nil
				if used, told := n.store.Usage().Bytes, n.capUsed.Load(); max(used, told)-min(used, told) > max(usageMoved, told/100) {
					n.publishCapability()
				}
			case <-t.C:
				if err := n.leases.expire(n.ctx, time.Now()); err != nil && n.ctx.Err() == nil {
					n.cfg.Log("expiring leases: %v", err)
				}
				n.publishCapability()
			case <-n.ctx.Done():
				return
			}
		}
	})
}

// stir says that what is kept here for members has changed.
func (n *Node) stir() {
	select {
	case n.stirred <- struct{}{}:
	default:
	}
}

func (n *Node) publishCapability() {
	c := n.capability()
	n.capUsed.Store(c.Used)
	n.coord.step(mesh.CapabilityReceived{Capability: c})
	n.jobs.workerChanged(n.id.ID())
	b, err := wire.EncodeCapability(c)
	if err == nil {
		err = n.net.Publish(n.ctx, topicCapability, b)
	}
	if err != nil && n.ctx.Err() == nil {
		n.cfg.Log("announcing: %v", err)
	}
}

// publishNews tells every member about new memberships, revocations or modules.
func (n *Node) publishNews(news wire.News) {
	b, err := wire.EncodeNews(news)
	if err == nil {
		err = n.net.Publish(n.ctx, topicNews, b)
	}
	if err != nil && n.ctx.Err() == nil {
		n.cfg.Log("publishing news: %v", err)
	}
}

// subscribe listens to gossip. Records are verified when they are merged.
func (n *Node) subscribe() error {
	err := n.net.Subscribe(topicCapability, func(from api.NodeID, data []byte) bool {
		c, err := wire.DecodeCapability(data)
		return err == nil && c.Node == from
	}, func(_ api.NodeID, data []byte) {
		if c, err := wire.DecodeCapability(data); err == nil && c.Node != n.id.ID() {
			n.coord.step(mesh.CapabilityReceived{Capability: c})
			n.jobs.workerChanged(c.Node)
		}
	})
	if err != nil {
		return err
	}
	return n.net.Subscribe(topicNews, func(_ api.NodeID, data []byte) bool {
		_, err := wire.DecodeNews(data)
		return err == nil
	}, func(from api.NodeID, data []byte) {
		if news, err := wire.DecodeNews(data); err == nil && from != n.id.ID() {
			n.learn(news)
		}
	})
}

func (n *Node) dialAddrs() []string {
	addrs := n.net.Addrs()
	return addrs[:min(len(addrs), api.MaxAddrs)]
}

// seedDesk is what only the mesh's founder does: admit members and keep the
// ledger.
type seedDesk struct {
	mu     sync.Mutex
	book   *identity.InviteBook // guarded by mu
	ledger ledgerStore
}

func (s *seedDesk) close() error { return s.ledger.Close() }

// openDesk loads the invites of the seed.
func (n *Node) openDesk(ledger ledgerStore) error {
	var records []identity.InviteRecord
	if b, err := n.meta.Get(keyInvites); err == nil {
		if err := json.Unmarshal(b, &records); err != nil {
			return api.E("node.invites", api.Corrupt, err)
		}
	}
	book, err := identity.NewInviteBook(n.root, n.id.ID(), n.members, records)
	if err != nil {
		return err
	}
	n.seed = &seedDesk{book: book, ledger: ledger}
	return nil
}

// saveInvites makes the book durable. n.seed.mu is held.
func (n *Node) saveInvites() error {
	b, err := json.Marshal(n.seed.book.Records())
	if err != nil {
		return api.E("node.invites", api.Other, err)
	}
	return n.meta.Set(keyInvites, b)
}

func (n *Node) needSeed(op string) error {
	if n.seed == nil {
		return api.Errorf(op, api.Denied, "only the seed of the mesh can do this; run it on the node that founded the mesh")
	}
	return nil
}

// inviteAddrs is how many addresses of each transport an edge's invite names, so
// that it fits a QR code although those for tabs are long.
const inviteAddrs = 2

// Invite makes a one-time invite.
func (n *Node) Invite(_ context.Context, req api.InviteRequest) (api.Invite, error) {
	const op = "node.invite"
	if err := n.needSeed(op); err != nil {
		return api.Invite{}, err
	}
	if req.Roles == 0 {
		req.Roles = api.Hub
	}
	if req.TTL == 0 {
		req.TTL = 24 * 3600
	}
	addrs := p2p.Native(n.dialAddrs()) // a code of fewer dots
	if req.Roles&api.Edge != 0 {
		n.expectTabs(api.Membership{Roles: req.Roles})
		addrs = p2p.Varied(n.dialAddrs(), inviteAddrs)
	}
	now := time.Now().Unix()
	n.seed.mu.Lock()
	defer n.seed.mu.Unlock()
	token, err := n.seed.book.Issue(identity.InviteTerms{
		ID: api.RandomID(), Roles: req.Roles, Name: req.Name, Addrs: addrs, Expires: now + req.TTL,
	}, now)
	if err != nil {
		return api.Invite{}, err
	}
	if err := n.saveInvites(); err != nil {
		return api.Invite{}, err
	}
	text, err := identity.FormatInvite(token)
	return api.Invite{Text: text, Roles: req.Roles, Name: req.Name, Expires: token.Expires}, err
}

// handleJoin redeems an invite for a stranger.
func (n *Node) handleJoin(ctx context.Context, from api.NodeID, req []byte) ([]byte, error) {
	const op = "node.join"
	if err := n.needSeed(op); err != nil {
		return nil, err
	}
	r, err := wire.DecodeJoinRequest(req)
	if err != nil {
		return nil, err
	}
	if r.Node != from {
		return nil, api.Errorf(op, api.Unverified, "the request names another node")
	}
	now := time.Now().Unix()
	n.seed.mu.Lock()
	m, err := n.seed.book.Redeem(r, now)
	if err == nil {
		err = n.saveInvites()
	}
	n.seed.mu.Unlock()
	if err != nil {
		n.metrics.joinsRefused.Add(1)
		return nil, err
	}
	n.coord.step(mesh.MembershipReceived{Membership: m})
	n.saveMembers()
	n.expectTabs(m)
	if err := n.grant(ctx, m.Node); err != nil {
		n.cfg.Log("grant to %s: %v", m.Name, err)
	}
	n.publishNews(wire.News{Memberships: []api.Membership{m}})
	n.emit("mesh:join:v1:done", m.Node.String(), map[string]string{"name": m.Name})
	return wire.EncodeJoinResponse(api.JoinResponse{
		Membership: m, Members: n.members.Memberships(), Revocations: n.members.Revocations(),
	})
}

// Revoke ends a member's membership everywhere, by name or id.
func (n *Node) Revoke(ctx context.Context, who string) error {
	const op = "node.revoke"
	if err := n.needSeed(op); err != nil {
		return err
	}
	m, err := n.findMember(op, who)
	if err != nil {
		return err
	}
	if m.Node == n.id.ID() {
		return api.Errorf(op, api.Invalid, "a seed cannot revoke itself")
	}
	r := identity.SignRevocation(n.root, api.Revocation{Node: m.Node, Time: time.Now().Unix()})
	n.tellRevoked(ctx, r)
	n.learn(wire.News{Revocations: []api.Revocation{r}})
	n.publishNews(wire.News{Revocations: []api.Revocation{r}})
	return nil
}

// findMember resolves a name or id.
func (n *Node) findMember(op, who string) (api.Membership, error) {
	if m, ok := n.members.ByName(who); ok {
		return m, nil
	}
	if id, err := api.ParseNodeID(who); err == nil {
		if m, ok := n.members.Get(id); ok {
			return m, nil
		}
	}
	return api.Membership{}, api.Errorf(op, api.NotFound, fmt.Sprintf("no member is called %q; inos peers lists them", who))
}
