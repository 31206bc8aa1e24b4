package node

import (
	"context"

	"inos/kernel/api"
)

// This file names what a node asks of its hosts. The node is one code base:
// files that end in _native.go open host/disk, host/shm, host/wasm and
// host/consensus; files that end in _js.go open what a browser tab has in their
// place. Of the network nothing is named here, because host/p2p is the same on
// both; engines are kernel/module.Engine and kernel/module.ResidentEngine.

// BlockStore keeps this node's blocks. host/disk has one for folders, host/opfs
// one for a tab. All methods are safe for concurrent use and fail with Closed
// after Close; kernel/api.BlockStore says what the embedded ones do.
type BlockStore interface {
	api.BlockStore

	// PutOwn is Put for blocks whose addresses this process has just computed
	// from the very same bytes: they need not be hashed a second time.
	PutOwn(ctx context.Context, lease api.LeaseID, blocks []api.Block) error

	// AddLease lets lease name blocks that the store already has, durably.
	// NotFound, changing nothing, if one is absent.
	AddLease(ctx context.Context, lease api.LeaseID, addrs []api.Address) error

	// Rename gives all blocks of one lease to another, atomically and durably. If
	// to has blocks already, it has both sets afterwards. A repeated Rename
	// succeeds: an unknown from is no error when to exists; NotFound when neither
	// does.
	Rename(ctx context.Context, from, to api.LeaseID) error

	// Size is the number of wire bytes of a block without reading it, or
	// NotFound.
	Size(addr api.Address) (int, error)

	// Close waits for the calls under way and gives the store up, so that another
	// may open it. Calling it again does nothing.
	Close() error
}

// RecordStore is a durable, ordered key-value space beside the blocks, for the
// node's own metadata: values of at most 4 MiB, keys of at most 1 KiB. It lives
// as long as its BlockStore. All methods are safe for concurrent use.
type RecordStore interface {
	// Get returns a copy of a value, or NotFound.
	Get(key []byte) ([]byte, error)

	// Set and Delete are durable when they return; deleting what is absent is no
	// error. The lazy ones are seen at once and durable with the next Set or
	// Delete, or a few seconds later; a crash before may take them back, in the
	// order in which they were made. Keys and values are copied.
	Set(key, value []byte) error
	SetLazy(key, value []byte) error
	Delete(key []byte) error
	DeleteLazy(key []byte) error

	// Iterate visits the keys with a prefix in order, as they were when it began,
	// until fn returns false. Key and value are valid until fn returns. fn may
	// call the store. IterateFrom begins at the first key not below from.
	Iterate(prefix []byte, fn func(key, value []byte) bool) error
	IterateFrom(prefix, from []byte, fn func(key, value []byte) bool) error

	// Batch returns an empty batch of changes that take place together.
	Batch() RecordBatch
}

// RecordBatch collects changes of records. It is not safe for concurrent use,
// and not used again once it was committed. Keys and values are copied.
type RecordBatch interface {
	Set(key, value []byte)
	Delete(key []byte)

	// Commit makes the changes, all or none, durable when it returns; CommitLazy
	// as SetLazy does. NoSpace when the disk or quota is full.
	Commit() error
	CommitLazy() error
}

// ledgerStore is a ledger that this node keeps itself, as the seed of its mesh.
type ledgerStore interface {
	api.Ledger
	Close() error
}
