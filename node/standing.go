package node

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// tellTime bounds telling a member that it was revoked.
const tellTime = 2 * time.Second

// standing is whether the mesh accepts this node, as far as the node can know:
// its own revocation, or what the last peer said that refused it while no other
// peer has admitted it since.
type standing struct {
	mu  sync.Mutex
	by  api.NodeID // guarded by mu; who refused; zero when nobody does
	why string     // guarded by mu
}

// refused notes a refusal and reports whether it is news.
func (s *standing) refused(by api.NodeID, why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.why != why
	s.by, s.why = by, why
	return news
}

// admitted forgets a refusal: a member that admits this node shows that it is
// one, and a refusal by the seed comes again with its next introduction.
func (s *standing) admitted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by, s.why = api.NodeID{}, ""
}

func (s *standing) refusal() (by api.NodeID, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by, s.why
}

// onRefused hears that a peer refuses this node. Being busy or starting is no
// verdict about membership.
func (n *Node) onRefused(peer api.NodeID, kind api.Kind, why string) {
	if kind != api.Denied && kind != api.Unverified {
		return
	}
	if n.standing.refused(peer, why) {
		n.cfg.Warn("the node %s refuses this one: %s", n.nameOf(peer), why)
	}
}

// nameOf is a member's name, or the short form of its id.
func (n *Node) nameOf(id api.NodeID) string {
	if m, ok := n.members.Get(id); ok {
		return m.Name
	}
	return id.Short()
}

// isRevoked reports whether the mesh ended this node's membership.
func (n *Node) isRevoked() bool {
	return api.KindOf(n.members.Allowed(n.id.ID(), time.Now().Unix())) == api.Denied
}

// revokedError tells the owner of a revoked node what is left to do.
func (n *Node) revokedError() error {
	when := ""
	for _, r := range n.members.Revocations() {
		if r.Node == n.id.ID() {
			when = " on " + time.Unix(r.Time, 0).UTC().Format("2006-01-02 15:04 UTC")
		}
	}
	return api.Errorf("node.membership", api.Denied, fmt.Sprintf(
		"the mesh revoked the membership of this node (%s)%s, for good; %s", n.member.Name, when, rejoin))
}

// refusedText is why the mesh does not admit this node; empty when it does.
func (n *Node) refusedText() string {
	if n.isRevoked() {
		return messageOf(n.revokedError())
	}
	by, why := n.standing.refusal()
	if why == "" {
		return ""
	}
	return n.nameOf(by) + " refuses this node: " + why
}

// tellRevoked hands a member its revocation while it is still connected, so
// that it can tell its owner. One that cannot be reached finds out when it is
// refused.
func (n *Node) tellRevoked(ctx context.Context, r api.Revocation) {
	if !n.net.Connected(r.Node) {
		return
	}
	b, err := wire.EncodeNews(wire.News{Revocations: []api.Revocation{r}})
	if err != nil {
		n.cfg.Log("telling %s of its revocation: %v", r.Node.Short(), err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if _, err := n.net.Call(ctx, r.Node, methodNews, b); err != nil {
		n.cfg.Log("telling %s of its revocation: %v", r.Node.Short(), err)
	}
}

// plural writes a number and its noun.
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatUint(n, 10) + " " + noun + "s"
}
