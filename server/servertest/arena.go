package servertest

import (
	"context"

	"inos/kernel/api"
)

// Arena implements server.Backend.
func (f *Fake) Arena(context.Context) (api.ArenaMap, error) {
	return api.ArenaMap{
		Tier: "moderate", Size: 64 << 20, Version: 2, Socket: "/data/inos/arena.sock", Lent: 128 << 10, Most: 64 << 20,
		Regions: []api.ArenaRegion{
			{Name: "header", Size: 4096, Owner: "kernel", Count: 1, Used: 1, Doc: "magic, version, size, generation"},
			{Name: "epochs", Offset: 0x1000, Size: 65536, Owner: "kernel", Count: 1024, Used: 8, Doc: "event counters, one per cache line"},
			{Name: "jobs", Offset: 0x90000, Size: 1572864, Owner: "kernel", Count: 4096, Used: 120, Doc: "job table"},
			{Name: "events", Offset: 0x510000, Size: 2097152, Owner: "kernel", Count: 1, Used: 91000, Doc: "data of the event ring"},
			{Name: "heap", Offset: 0x800000, Size: 56 << 20, Owner: "kernel", Used: 14 << 20, Doc: "page table, then pages"},
		},
		Epochs: []api.ArenaEpoch{
			{Index: 2, Name: "jobs", Value: 480, Waiting: 1, Asleep: 2}, {Index: 3, Name: "events", Value: 91}, {Index: 64, Value: 7},
		},
		Rings: []api.ArenaRing{
			{Name: "syscall 0", Generation: 1, Capacity: 16384, Used: 4096, MaxMessage: 4096},
			{Name: "camera/frames", Generation: 3, Capacity: 65536, MaxMessage: 1024, Writer: 1, Reader: 2},
		},
		States: []api.ArenaState{
			{Name: "camera/pose", Owner: 65536, Most: 4096, Bytes: 96, Version: 12345, Region: 1},
			{Name: "node/work", Owner: 1, Most: 4096, Bytes: 211, Version: 480, Offset: 0x810000},
		},
		Heap: api.ArenaHeap{
			Size: 55 << 20, Used: 14 << 20, Peak: 20 << 20, Spans: 17, Free: 41 << 20, Largest: 32 << 20, Blocks: 9,
			Faults: api.ArenaFaults{Twice: 1, Leaks: 2, Leaked: 1 << 20},
			Owners: []api.ArenaOwner{{Owner: 65536, Name: "camera", Bytes: 13 << 20, Spans: 3, Peak: 18 << 20}, {Owner: 1, Name: "kernel", Bytes: 1 << 20, Spans: 14, Peak: 2 << 20, Limit: 8 << 20}},
		},
		Leases: []api.ArenaLease{
			{Lease: 1, Owner: 65536, PID: 4242, Name: "camera", Role: "write", Since: Epoch.UnixMilli() - 65_000, Regions: 2, Bytes: 128 << 10},
			{Lease: 2, Owner: 65537, PID: 4243, Name: "dashboard", Role: "read", Since: Epoch.UnixMilli() - 3_000, Watches: 3},
		},
	}, f.fail("Arena")
}
