package api

import "context"

// Sizes that the formats fix.
const (
	ChunkSize = 1 << 20 // plaintext bytes per chunk; the last of a file is shorter

	// MaxBlock bounds the wire bytes of any block: a raw chunk and its 16-byte
	// authentication tag. Manifests fit the same bound.
	MaxBlock = ChunkSize + 16

	// LargeBlock is the size from which a block is a file of its own on disk;
	// smaller ones live in Pebble.
	LargeBlock = 64 << 10
)

// Block is a block's wire bytes and their address. Whoever receives a Block
// owns Data unless a comment says otherwise.
type Block struct {
	Addr Address
	Data []byte
}

// LeaseID identifies a lease: BLAKE3 over the owner's id and the root address.
type LeaseID Hash

// String returns the hex form.
func (l LeaseID) String() string { return Hash(l).String() }

// Lease says who keeps an object, in how many copies and until when. A block
// lives on a holder while at least one lease there names it.
type Lease struct {
	Owner  NodeID  `json:"owner"`
	Root   Address `json:"root"`   // root manifest; the lease covers every block below it
	Copies uint8   `json:"copies"` // distinct nodes wanted, 1..MaxCopies
	Until  int64   `json:"until"`  // Unix seconds; 0 means until released
}

// MaxCopies bounds Lease.Copies for durable copies.
const MaxCopies = 16

// Receipt is a holder's signed statement that blocks are durable on its disk.
// Blocks is a commitment to the batch: BLAKE3 over the sorted addresses.
type Receipt struct {
	Holder NodeID   `json:"holder"`
	Lease  LeaseID  `json:"lease"`
	Blocks Hash     `json:"blocks"`
	Count  uint32   `json:"count"`
	Bytes  uint64   `json:"bytes"` // wire bytes of the batch
	Time   int64    `json:"time"`  // Unix seconds at the holder
	Sig    [64]byte `json:"-"`
}

// ProviderRecord is a node's signed statement that it has the object under Root,
// until Expires (Unix seconds). Others keep it on behalf of a node that is not in
// the DHT itself.
type ProviderRecord struct {
	Root     Address
	Provider NodeID
	Expires  int64
	Sig      [64]byte
}

// BlockStore keeps blocks durably on one node. host/disk implements it; one
// suite tests every implementation. All methods are safe for concurrent use.
type BlockStore interface {
	// Put makes blocks durable under lease and returns after one group commit:
	// when it returns nil, they survive kill -9 and power loss. Blocks already
	// present only gain the lease. The store verifies each address and returns
	// Corrupt, storing nothing, if one does not match; NoSpace when the disk or
	// quota is full. It does not retain Data.
	Put(ctx context.Context, lease LeaseID, blocks []Block) error

	// Get returns a block's verified wire bytes, appended to buf[:0] when its
	// capacity suffices. NotFound if absent; Corrupt if the bytes on disk do not
	// match, after moving them to quarantine.
	Get(ctx context.Context, addr Address, buf []byte) ([]byte, error)

	// Has reports, per address, whether the block is present. It does not read
	// the data.
	Has(ctx context.Context, addrs []Address) ([]bool, error)

	// Release drops a lease. Blocks that no other lease names are deleted
	// incrementally in the background. Releasing an unknown lease is no error.
	Release(ctx context.Context, lease LeaseID) error

	// Each calls fn for every block under a lease (or under any, for the zero
	// LeaseID, once per block and lease) in address order from after, until fn
	// returns false. size is the number of wire bytes. It holds no lock while fn runs.
	Each(ctx context.Context, lease LeaseID, after Address, fn func(addr Address, lease LeaseID, size int) bool) error

	// Usage reports what the store holds.
	Usage() StoreUsage
}

// StoreUsage is what a store holds and may hold.
type StoreUsage struct {
	Blocks      uint64 `json:"blocks"`
	Bytes       uint64 `json:"bytes"`       // wire bytes of blocks
	Quota       uint64 `json:"quota"`       // bytes; 0 means the disk's free space is the limit
	Free        uint64 `json:"free"`        // bytes that may still be written
	Quarantined uint64 `json:"quarantined"` // blocks found corrupt and set aside
}

// Fetcher brings blocks by address from wherever they are: the local store
// first, then other holders. host-side exchange and the in-memory store of the
// chunk tests implement it.
type Fetcher interface {
	// Fetch delivers each distinct address of addrs exactly once, in any order,
	// from one goroutine at a time, verified. data is valid until deliver
	// returns. Fetch returns the first error of deliver, or NotFound or
	// Unavailable naming an address that no holder could serve.
	Fetch(ctx context.Context, addrs []Address, deliver func(addr Address, data []byte) error) error
}
