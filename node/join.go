package node

import (
	"context"
	"strings"
	"time"

	"inos/host/p2p"
	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/wire"
)

// Join redeems an invite for the node in cfg.Dir, which must not run, and
// stores its membership there. The next Start joins the mesh. A node that would
// leave members or data behind gets a *TiesError, kind Exists, unless
// cfg.LeaveMesh is set.
func Join(ctx context.Context, cfg Config, invite string) (api.Membership, error) {
	const op = "node.join"
	var none api.Membership
	token, err := identity.ParseInvite(invite)
	if err != nil {
		return none, err
	}
	if cfg, err = cfg.withDefaults(); err != nil {
		return none, err
	}
	store, meta, err := openStore(ctx, cfg)
	if err != nil {
		return none, err
	}
	defer store.Close()
	id, err := loadIdentity(cfg, meta)
	if err != nil {
		return none, err
	}
	ties, err := tiesOf(store, meta, id, token.Mesh)
	if err != nil {
		return none, err
	}
	if ties != nil && !cfg.LeaveMesh {
		return none, api.E(op, api.Exists, ties)
	}
	resp, err := askToJoin(ctx, id, cfg, token)
	if err != nil {
		return none, api.E(op, api.Other, err)
	}
	m := resp.Membership
	if m.Node != id.ID() || m.Mesh != token.Mesh {
		return none, api.Errorf(op, api.Unverified, "the seed answered with somebody else's membership")
	}
	if err := identity.VerifyMembership(m, time.Now().Unix()); err != nil {
		return none, err
	}
	own, err := wire.EncodeMembership(m)
	if err != nil {
		return none, err
	}
	news, err := wire.EncodeNews(wire.News{Memberships: resp.Members, Revocations: resp.Revocations})
	if err != nil {
		return none, err
	}
	if ties != nil {
		if err := leave(meta); err != nil {
			return none, err
		}
	}
	if err := meta.Set(keyNews, news); err != nil {
		return none, err
	}
	if err := meta.Set(keySeed, append(token.Seed[:], strings.Join(token.Addrs, "\n")...)); err != nil {
		return none, err
	}
	return m, meta.Set(keyMembership, own)
}

// Ties is what a node would leave behind by joining another mesh.
type Ties struct {
	Mesh    api.NodeID
	Founded bool             // this node is its seed: without it nobody joins and nothing is paid
	Others  []api.Membership // members besides this node, those revoked left out
	Objects uint64           // that this node owns
	Blocks  uint64           // that this node keeps, for anybody
	Bytes   uint64
}

// TiesError says that a node was not moved to another mesh because of what it
// would leave behind. Config.LeaveMesh moves it all the same.
type TiesError struct{ Ties Ties }

// Error names what would be left.
func (e *TiesError) Error() string {
	var have []string
	if n := len(e.Ties.Others); n > 0 {
		names := make([]string, 0, 4)
		for _, m := range e.Ties.Others[:min(n, 3)] {
			names = append(names, m.Name)
		}
		if n > 3 {
			names = append(names, "…")
		}
		have = append(have, plural(uint64(n), "other member")+" ("+strings.Join(names, ", ")+")")
	}
	if e.Ties.Objects > 0 {
		have = append(have, plural(e.Ties.Objects, "object")+" of its own")
	}
	if e.Ties.Blocks > 0 {
		have = append(have, plural(e.Ties.Blocks, "block"))
	}
	msg := "this node belongs to another mesh, with "
	if e.Ties.Founded {
		msg = "this node founded a mesh of its own, with "
	}
	if last := len(have) - 1; last > 0 {
		have = []string{strings.Join(have[:last], ", "), have[last]}
	}
	return msg + strings.Join(have, " and ")
}

// tiesOf reads what a store's node has in a mesh other than to; nil for a node
// that loses nothing.
func tiesOf(store BlockStore, meta records, id identity.Identity, to api.NodeID) (*TiesError, error) {
	b, err := meta.Get(keyMembership)
	if api.KindOf(err) == api.NotFound && err != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	old, err := wire.DecodeMembership(b)
	if err != nil || old.Mesh == to {
		return nil, err
	}
	use := store.Usage()
	t := Ties{Mesh: old.Mesh, Founded: old.Mesh == id.MeshRoot().ID(), Blocks: use.Blocks, Bytes: use.Bytes}
	if err := meta.Iterate("obj/", func(string, []byte) bool { t.Objects++; return true }); err != nil {
		return nil, err
	}
	if t.Founded { // others do well without a member that leaves
		if t.Others, err = livingMembers(meta, old); err != nil {
			return nil, err
		}
	}
	if len(t.Others) == 0 && t.Objects == 0 && t.Blocks == 0 {
		return nil, nil
	}
	return &TiesError{t}, nil
}

// livingMembers are the members of self's mesh besides self that the folder
// knows of and that were not revoked.
func livingMembers(meta records, self api.Membership) ([]api.Membership, error) {
	b, err := meta.Get(keyNews)
	if api.KindOf(err) == api.NotFound && err != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	news, err := wire.DecodeNews(b)
	if err != nil {
		return nil, err
	}
	now, table := time.Now().Unix(), identity.NewMemberTable(self.Mesh)
	for _, m := range news.Memberships {
		_, _ = table.Merge(m, now) // what does not verify is nobody's membership
	}
	for _, r := range news.Revocations {
		_, _ = table.Revoke(r)
	}
	var out []api.Membership
	for _, m := range table.Memberships() {
		if m.Node != self.Node && table.Allowed(m.Node, now) == nil {
			out = append(out, m)
		}
	}
	return out, nil
}

// leave forgets what this node owed in the mesh that it leaves: payments and
// cheques name accounts of that mesh's ledger.
func leave(meta records) error {
	for _, prefix := range []string{"out/", "cheq/"} {
		var keys []string
		if err := meta.Iterate(prefix, func(key string, _ []byte) bool { keys = append(keys, key); return true }); err != nil {
			return err
		}
		for _, key := range keys {
			if err := meta.DeleteLazy(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// askToJoin dials the seed as a stranger.
func askToJoin(ctx context.Context, id identity.Identity, cfg Config, token api.InviteToken) (api.JoinResponse, error) {
	link, err := openLink(ctx)
	if err != nil {
		return api.JoinResponse{}, err
	}
	host, err := p2p.New(p2p.Config{
		Key:    id.PrivateKey(),
		Link:   link,
		Member: func(api.NodeID) bool { return false },
	})
	if err != nil {
		return api.JoinResponse{}, err
	}
	defer host.Close()
	name := cfg.Name
	if token.Name != "" {
		name = token.Name
	}
	req, err := wire.EncodeJoinRequest(identity.NewJoinRequest(id, token, name, 0))
	if err != nil {
		return api.JoinResponse{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	who, resp, err := host.CallStranger(ctx, token.Addrs, methodJoin, req)
	if err != nil {
		return api.JoinResponse{}, err
	}
	if who != token.Seed {
		return api.JoinResponse{}, api.Errorf("node.join", api.Unverified, "another node answers at the invite's address")
	}
	return wire.DecodeJoinResponse(resp)
}
