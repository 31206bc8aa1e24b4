package node

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/module"
)

// An input of WindowInput bytes or more lies in the arena while its job runs and is
// gone afterwards. Where the arena has no room the job is the same, gas included.
func TestLargeInputsAreLentFromTheArena(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	heap := n.memory.arena.Heap()
	n.worker.lent.mu.Lock()
	n.worker.lent.rest = time.Millisecond
	n.worker.lent.mu.Unlock()
	run := func(data []byte) api.Job {
		t.Helper()
		obj := put(t, n, "f", data, api.Policy{Copies: 1})
		req := api.RunRequest{Module: "diagnostics", Unit: "window", Method: "sum", Inputs: []api.RunInput{{Link: obj.Link}}}
		req.Limits.MemoryBytes = 64 << 20
		var last api.Job
		if err := n.Run(t.Context(), req, func(j api.Job) error { last = j; return nil }); err != nil {
			t.Fatal(err)
		}
		if last.State != api.JobDone {
			t.Fatalf("%s: %s", last.State, last.Result.Message)
		}
		out, err := get(t.Context(), n, last.Result.Output, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.TrimSpace(string(out)), strconv.FormatUint(sumOf(data), 10); got != want {
			t.Errorf("the guest added up %s, want %s", got, want)
		}
		waitFor(t, "the arena's memory", func() bool { return heap.Usage(n.worker.lent.owner).Bytes == 0 })
		return last
	}
	run(randomBytes(1, module.WindowInput-8))
	if u := heap.Usage(n.worker.lent.owner); u.Peak != 0 {
		t.Errorf("a small input took %d bytes of the arena", u.Peak)
	}
	large := randomBytes(2, module.WindowInput+8)
	lent := run(large)
	if u := heap.Usage(n.worker.lent.owner); u.Peak < uint64(len(large)) {
		t.Errorf("a large input took %d bytes of the arena", u.Peak)
	}
	heap.SetLimit(n.worker.lent.owner, 1)
	large[0] ^= 1 // another object, so another job
	if copied := run(large); copied.Result.Gas != lent.Result.Gas {
		t.Errorf("lent it costs %d gas, copied %d", lent.Result.Gas, copied.Result.Gas)
	}
	if u := heap.Usage(n.worker.lent.owner); u.Denied != 1 {
		t.Errorf("the arena refused %d inputs, want 1", u.Denied)
	}
}

// Memory of the last input serves the next one of its size, and goes back to the system
// after a while.
func TestMemoryOfInputsIsKeptAWhile(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	l := n.worker.lent
	first, ok := l.take(8 << 20)
	if !ok {
		t.Fatal("no room")
	}
	mem := n.memory.arena.Heap().Bytes(first)
	for i := range mem {
		mem[i] = 1
	}
	l.give(first)
	if again, ok := l.take(7 << 20); !ok || again != first || mem[0] != 1 {
		t.Errorf("the next input lies at %+v, not %+v", again, first)
	}
	l.give(first)
	if small, ok := l.take(1 << 20); !ok || small.Len == first.Len {
		t.Errorf("a small input has %d bytes", small.Len)
	} else {
		l.give(small)
	}
	used := residentShared(t)
	large, ok := l.take(16 << 20)
	if !ok {
		t.Fatal("no room")
	}
	mem = n.memory.arena.Heap().Bytes(large)
	for i := range mem {
		mem[i] = 2
	}
	if grown := residentShared(t) - used; grown < 15<<20 {
		t.Errorf("16 MiB of input take %d bytes", grown)
	}
	l.give(large)
	l.relax()
	if grown := residentShared(t) - used; grown > 2<<20 {
		t.Errorf("%d bytes stay with nobody", grown)
	}
	if u := n.memory.arena.Heap().Usage(l.owner); u.Bytes != 0 {
		t.Errorf("%d bytes are still lent", u.Bytes)
	}
}

// residentShared is the shared memory of this process that takes room, in bytes.
func residentShared(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	var kib int
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "RssShmem: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Skip("the system does not tell")
	return 0
}

func sumOf(b []byte) (sum uint64) {
	for ; len(b) >= 8; b = b[8:] {
		sum += binary.LittleEndian.Uint64(b)
	}
	return sum
}

// BenchmarkLargeInput has a guest read an object of this node: as a private copy,
// which a full share of the arena leads to, and in a window of the arena.
func BenchmarkLargeInput(b *testing.B) {
	for _, size := range []int{4 << 20, 8 << 20, 16 << 20, 32 << 20} {
		for _, way := range []string{"copy", "window"} {
			b.Run(fmt.Sprintf("%dMiB/%s", size>>20, way), func(b *testing.B) {
				n := start(b, Config{Dir: b.TempDir(), Name: "a", ArenaBytes: int(layout.Tiers[2].Size)})
				if way == "copy" {
					n.memory.arena.Heap().SetLimit(n.worker.lent.owner, 1)
				}
				obj := put(b, n, "f", randomBytes(1, size), api.Policy{Copies: 1})
				req := api.RunRequest{Module: "diagnostics", Unit: "window", Method: "sum", Inputs: []api.RunInput{{Link: obj.Link}}}
				req.Limits.MemoryBytes = 128 << 20
				b.SetBytes(int64(size))
				began := processorTime(b)
				defer func() { b.ReportMetric(float64(processorTime(b)-began)/float64(b.N)/1e6, "cpu-ms/op") }()
				for b.Loop() {
					if err := n.Run(b.Context(), req, func(api.Job) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// processorTime is what this process has used so far, in nanoseconds: on a busy
// machine the better clock.
func processorTime(b *testing.B) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Skip(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
