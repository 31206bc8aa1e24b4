package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"

	"inos/host/opfs"
	"inos/kernel/api"
	"inos/kernel/identity"
)

// openStore opens the blocks and records in the origin's private file system.
func openStore(ctx context.Context, cfg Config) (BlockStore, records, error) {
	s, err := opfs.Open(ctx, cfg.Dir, opfs.Options{Quota: cfg.Quota, Log: func(text string) { cfg.Log("%s", text) }})
	if err != nil {
		return nil, records{}, err
	}
	return s, records{opfsRecords{s.Meta("node")}}, nil
}

// opfsRecords is a space of host/opfs's as a RecordStore.
type opfsRecords struct{ *opfs.Meta }

func (r opfsRecords) Batch() RecordBatch { return r.Meta.Batch() }

// openLedger refuses: a tab is never the seed of a mesh.
func openLedger(Config, api.NodeID) (ledgerStore, error) {
	return nil, api.Errorf("node.ledger", api.Unsupported, "a browser tab keeps no ledger")
}

// keyIdentity is the record of the node's secret seed: 32 bytes.
const keyIdentity = "node/identity"

// keyFile is what the owner signs with.
func keyFile(Config) string { return "the identity that this tab exports" }

// Volatile says why this browser keeps nothing of the node; "" when it does.
func (n *Node) Volatile() string {
	if s, ok := n.store.(*opfs.Store); ok {
		return s.Volatile()
	}
	return ""
}

// Identity is the node's identity, secret included.
func (n *Node) Identity() identity.Identity { return n.id }

// Identity reads the identity in the store of a node that does not run; NotFound
// before its first start.
func Identity(ctx context.Context, cfg Config) (id identity.Identity, err error) {
	err = withRecords(ctx, cfg, func(meta records) error {
		b, err := meta.Get(keyIdentity)
		if err == nil && len(b) == identity.SeedSize {
			id = identity.NewFromSeed([identity.SeedSize]byte(b))
		}
		return err
	})
	return id, err
}

// ImportIdentity makes an exported identity that of a node that does not run.
// Exists while another's membership is kept: leave first.
func ImportIdentity(ctx context.Context, cfg Config, text string) error {
	id, err := identity.ParseSecret(text)
	if err != nil {
		return err
	}
	seed := id.Seed()
	return withRecords(ctx, cfg, func(meta records) error {
		had, err := meta.Get(keyIdentity)
		switch {
		case err == nil && bytes.Equal(had, seed[:]):
			return nil
		case err != nil && api.KindOf(err) != api.NotFound:
			return err
		}
		switch _, err := meta.Get(keyMembership); {
		case err == nil:
			return api.Errorf("node.identity", api.Exists, "this tab is a member as somebody else; leave the mesh first")
		case api.KindOf(err) != api.NotFound:
			return err
		}
		return meta.Set(keyIdentity, seed[:])
	})
}

// Leave forgets the membership of a node that does not run, and what it owed
// there. Its identity and its blocks stay.
func Leave(ctx context.Context, cfg Config) error {
	return withRecords(ctx, cfg, func(meta records) error {
		if err := leave(meta); err != nil {
			return err
		}
		for _, key := range []string{keyNews, keySeed, keySeq} {
			if err := meta.DeleteLazy(key); err != nil {
				return err
			}
		}
		return meta.Delete(keyMembership)
	})
}

func withRecords(ctx context.Context, cfg Config, fn func(records) error) error {
	store, meta, err := openStore(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(fn(meta), store.Close())
}

// rekey is what to do about a membership of another key.
const rekey = "forget this tab's node and join again"

// loadIdentity reads the node's key or, on the first start, makes one.
func loadIdentity(_ Config, meta records) (identity.Identity, error) {
	const op = "node.identity"
	b, err := meta.Get(keyIdentity)
	switch {
	case err == nil && len(b) != identity.SeedSize:
		return identity.Identity{}, api.Errorf(op, api.Corrupt, "the identity kept here is damaged; forget this tab's node, import the identity and join again")
	case err == nil:
		return identity.NewFromSeed([identity.SeedSize]byte(b)), nil
	case api.KindOf(err) != api.NotFound:
		return identity.Identity{}, err
	}
	var seed [identity.SeedSize]byte
	_, _ = rand.Read(seed[:])
	return identity.NewFromSeed(seed), meta.Set(keyIdentity, seed[:])
}
