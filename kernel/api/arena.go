package api

// ArenaMap is a node's shared memory at one moment: where everything is, who has
// what, and who waits for what.
type ArenaMap struct {
	Tier    string        `json:"tier"`    // light, moderate, heavy or dedicated
	Size    uint64        `json:"size"`    // bytes
	Version uint32        `json:"version"` // of the layout
	Socket  string        `json:"socket"`  // where other processes attach; empty when they cannot
	Regions []ArenaRegion `json:"regions"` // by offset
	Epochs  []ArenaEpoch  `json:"epochs"`  // by index
	Rings   []ArenaRing   `json:"rings"`
	States  []ArenaState  `json:"states"` // by name
	Heap    ArenaHeap     `json:"heap"`
	Leases  []ArenaLease  `json:"leases"`     // attached processes, in the order they came
	Lent    uint64        `json:"lent"`       // bytes of regions of their own, beside the arena
	Most    uint64        `json:"lent_limit"` // bound of lent
}

// ArenaRegion is a fixed part of the arena.
type ArenaRegion struct {
	Name   string `json:"name"`
	Offset uint64 `json:"offset"`
	Size   uint64 `json:"size"`
	Owner  string `json:"owner"`
	Count  uint32 `json:"count"` // elements; 0 for the heap
	Used   uint64 `json:"used"`  // elements in use; of the heap and the event log, bytes
	Doc    string `json:"doc"`
}

// ArenaEpoch is an event counter.
type ArenaEpoch struct {
	Index   int    `json:"index"`
	Name    string `json:"name,omitempty"`
	Value   uint32 `json:"value"`
	Waiting int    `json:"waiting"` // waiters in the node
	Asleep  uint32 `json:"asleep"`  // waiters in other processes
}

// ArenaRing is a ring in the arena, or a lent one between two processes.
type ArenaRing struct {
	Name       string `json:"name"`
	Generation uint32 `json:"generation"`
	Capacity   uint32 `json:"capacity"` // bytes
	Used       uint32 `json:"used"`     // bytes waiting to be read
	MaxMessage uint32 `json:"max_message"`
	Writer     uint32 `json:"writer,omitempty"` // lease; 0 the node or nobody
	Reader     uint32 `json:"reader,omitempty"`
}

// ArenaState is a named double-buffered state.
type ArenaState struct {
	Name    string `json:"name"`
	Owner   uint32 `json:"owner"`
	Most    uint64 `json:"most"`    // bytes of the largest state
	Bytes   uint64 `json:"bytes"`   // of the newest version
	Version uint32 `json:"version"` // 0 before the first
	Offset  uint64 `json:"offset"`  // in the arena
	Region  uint32 `json:"region"`  // the lent region it fills, 0 in the arena
}

// ArenaHeap is the arena's allocator.
type ArenaHeap struct {
	Size    uint64       `json:"size"`
	Used    uint64       `json:"used"` // as rounded up
	Peak    uint64       `json:"peak"`
	Spans   uint64       `json:"spans"`
	Denied  uint64       `json:"denied"`  // allocations refused
	Free    uint64       `json:"free"`    // in free blocks
	Largest uint64       `json:"largest"` // the largest free block
	Blocks  uint64       `json:"blocks"`  // number of free blocks
	Faults  ArenaFaults  `json:"faults"`
	Owners  []ArenaOwner `json:"owners"` // the largest holder first
}

// ArenaFaults counts mistakes of those who use the heap; each was refused or
// repaired.
type ArenaFaults struct {
	Twice   uint64 `json:"twice"`   // frees of free memory
	Foreign uint64 `json:"foreign"` // frees of another owner's memory
	Stray   uint64 `json:"stray"`   // frees of offsets at which nothing begins
	Leaks   uint64 `json:"leaks"`   // owners that ended with memory
	Leaked  uint64 `json:"leaked"`  // bytes reclaimed from them
}

// ArenaOwner is who holds memory of the heap.
type ArenaOwner struct {
	Owner  uint32 `json:"owner"`
	Name   string `json:"name"`
	Bytes  uint64 `json:"bytes"`
	Spans  uint64 `json:"spans"`
	Peak   uint64 `json:"peak"`
	Limit  uint64 `json:"limit"` // 0 means the heap's size
	Denied uint64 `json:"denied"`
}

// ArenaLease is an attached process.
type ArenaLease struct {
	Lease   uint32 `json:"lease"`
	Owner   uint32 `json:"owner"`
	PID     int32  `json:"pid"`
	Name    string `json:"name"`
	Role    string `json:"role"`  // read or write
	Since   int64  `json:"since"` // Unix milliseconds
	Watches int    `json:"watches"`
	Regions int    `json:"regions"` // regions and ring ends it holds
	Bytes   uint64 `json:"bytes"`   // of those regions
}
