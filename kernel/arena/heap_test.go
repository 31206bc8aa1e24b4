package arena

import (
	"bytes"
	"math/rand"
	"testing"

	"pgregory.net/rapid"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

func newHeap(t interface{ Fatal(...any) }, size int) (*Heap, []byte) {
	region := make([]byte, size)
	formatHeap(region)
	return reopen(t, region), region
}

func reopen(t interface{ Fatal(...any) }, region []byte) *Heap {
	header := make([]byte, layout.ArenaHeaderSize)
	l := &lease{generation: layout.U32(header, layout.ArenaHeaderAtGeneration)}
	h, err := openHeap(region, layout.HeapOffset, l, newCell())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newCell() *epoch.Cell {
	line := make([]byte, 2*layout.Line)
	for !layout.Aligned(line, layout.Line) {
		line = line[1:]
	}
	return epoch.New(line[:layout.EpochCellSize:layout.EpochCellSize])
}

func TestRoundUp(t *testing.T) {
	for n, size := range map[uint64]uint64{
		1: 64, 64: 64, 65: 128, 2048: 2048, 2049: 4096, 4096: 4096, 4097: 8192, 1 << 20: 1 << 20, 1<<20 + 1: 2 << 20,
	} {
		if got := roundUp(n); got != size {
			t.Errorf("%d: got %d, want %d", n, got, size)
		}
	}
}

func TestLargeSpansCanBeLentAsWindows(t *testing.T) {
	h, _ := newHeap(t, 4<<20)
	for _, n := range []uint64{1, 5000, layout.Window, 100, 3 * layout.Window} {
		s, err := h.Alloc(1, n)
		if err != nil {
			t.Fatal(err)
		}
		if align := min(s.Len, layout.Window); s.Off%align != 0 {
			t.Errorf("%d bytes at %#x, not a multiple of %d", n, s.Off, align)
		}
	}
}

func TestFreeRefusesWhatItDidNotGive(t *testing.T) {
	h, _ := newHeap(t, 2<<20)
	big, _ := h.Alloc(1, 20_000)
	small, _ := h.Alloc(1, 100)
	for _, off := range []uint64{0, big.Off + 64, big.Off + layout.Page, small.Off + 64, small.Off + small.Len, h.base + uint64(len(h.mem)), ^uint64(0)} {
		want(t, h.Free(1, off), api.Invalid)
	}
	want(t, h.Free(2, big.Off), api.Denied)
	want(t, h.Free(2, small.Off), api.Denied)
	for _, s := range []Span{big, small} {
		if err := h.Free(1, s.Off); err != nil {
			t.Fatal(err)
		}
		want(t, h.Free(1, s.Off), api.Invalid) // twice
	}
	kept, _ := h.Alloc(1, 64)
	gone, _ := h.Alloc(1, 64)
	_ = h.Free(1, gone.Off)
	want(t, h.Free(1, gone.Off), api.Invalid) // twice, in a page still in use
	if err := h.Free(1, kept.Off); err != nil {
		t.Fatal(err)
	}
}

func TestMemoryIsZeroedForItsNextOwner(t *testing.T) {
	h, _ := newHeap(t, 1<<20)
	for _, n := range []uint64{64, 8192} {
		s, _ := h.Alloc(1, n)
		copy(h.Bytes(s), bytes.Repeat([]byte("secret"), 10))
		_ = h.Free(1, s.Off)
		again, _ := h.Alloc(2, n)
		if again.Off != s.Off {
			t.Fatal("the heap does not give the lowest free memory")
		}
		if !bytes.Equal(h.Bytes(again), make([]byte, n)) {
			t.Fatal("another owner's bytes show")
		}
	}
}

func TestLimitsAndExhaustion(t *testing.T) {
	h, _ := newHeap(t, 1<<20)
	h.SetLimit(5, 10_000)
	if _, err := h.Alloc(5, 8192); err != nil {
		t.Fatal(err)
	}
	_, err := h.Alloc(5, 4096)
	want(t, err, api.Exhausted)
	_, err = h.Alloc(6, 1<<40)
	want(t, err, api.Exhausted)
	for err = nil; err == nil; {
		_, err = h.Alloc(6, layout.Page)
	}
	want(t, err, api.Exhausted)
	seen := h.Epoch().Load()
	if n, err := h.FreeAll(6); n == 0 || err != nil {
		t.Fatal(n, err)
	}
	if h.Epoch().Load() == seen {
		t.Fatal("freeing did not advance the epoch")
	}
	if _, err := h.Alloc(6, 256<<10); err != nil {
		t.Fatal(err)
	}
	if u := h.Usage(5); u.Denied != 1 || u.Bytes != 8192 || u.Limit != 10_000 {
		t.Fatalf("%+v", u)
	}
	for _, bad := range []struct {
		owner Owner
		n     uint64
	}{{0, 1}, {1, 0}} {
		_, err := h.Alloc(bad.owner, bad.n)
		want(t, err, api.Invalid)
	}
}

// Spans never overlap, keep their bytes, are accounted exactly, and when all
// are freed the heap is as it was; another owner can take over at any point.
func TestHeapProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		region := make([]byte, 1<<20+rapid.IntRange(0, 40).Draw(t, "extra pages")*layout.Page)
		formatHeap(region)
		h := reopen(t, region)
		whole := h.freePages()
		type live struct {
			Span
			owner Owner
			fill  byte
		}
		var spans []live
		drop := func(keep func(live) bool) {
			kept := spans[:0]
			for _, s := range spans {
				if keep(s) {
					kept = append(kept, s)
				}
			}
			spans = kept
		}
		owners := rapid.Custom(func(t *rapid.T) Owner { return Owner(rapid.IntRange(1, 3).Draw(t, "owner")) })
		sizes := rapid.OneOf(rapid.Uint64Range(1, 300), rapid.Uint64Range(300, 5000), rapid.Uint64Range(4096, 300_000))
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				owner, n := owners.Draw(t, "owner"), sizes.Draw(t, "n")
				s, err := h.Alloc(owner, n)
				if err != nil {
					if h.freePages() >= whole/2 && n < 1<<17 {
						t.Fatalf("refused %d bytes with %d of %d pages free: %v", n, h.freePages(), whole, err)
					}
					return
				}
				if s.Len < n {
					t.Fatalf("%d bytes for %d", s.Len, n)
				}
				fill := byte(len(spans) + 1)
				for i := range h.Bytes(s) {
					h.Bytes(s)[i] = fill
				}
				spans = append(spans, live{s, owner, fill})
			},
			"free": func(t *rapid.T) {
				if len(spans) == 0 {
					t.Skip("nothing to free")
				}
				i := rapid.IntRange(0, len(spans)-1).Draw(t, "which")
				gone := spans[i]
				if err := h.Free(gone.owner, gone.Off); err != nil {
					t.Fatal(err)
				}
				if err := h.Free(gone.owner, gone.Off); api.KindOf(err) != api.Invalid && api.KindOf(err) != api.Denied {
					t.Fatalf("freed twice: %v", err)
				}
				drop(func(s live) bool { return s != gone })
			},
			"free all": func(t *rapid.T) {
				owner := owners.Draw(t, "owner")
				if _, err := h.FreeAll(owner); err != nil {
					t.Fatal(err)
				}
				drop(func(s live) bool { return s.owner != owner })
			},
			"end": func(t *rapid.T) {
				owner := owners.Draw(t, "owner")
				held := h.Usage(owner)
				leak, err := h.End(owner)
				if err != nil || leak.Bytes != held.Bytes || leak.Spans != held.Spans || leak.Peak < leak.Bytes {
					t.Fatalf("%+v for %+v: %v", leak, held, err)
				}
				drop(func(s live) bool { return s.owner != owner })
			},
			"take over": func(t *rapid.T) { h = reopen(t, region) },
			"": func(t *rapid.T) {
				bytesOf := make(map[Owner]uint64)
				if room := h.Room(); room.Bytes != uint64(h.freePages())*layout.Page || room.Bytes > 0 && room.Largest == 0 {
					t.Fatalf("%+v with %d free pages", room, h.freePages())
				}
				for _, s := range spans {
					bytesOf[s.owner] += s.Len
					if b := h.Bytes(s.Span); b[0] != s.fill || b[len(b)-1] != s.fill {
						t.Fatalf("span %+v was overwritten", s)
					}
				}
				for owner := Owner(1); owner <= 3; owner++ {
					if got := h.Usage(owner).Bytes; got != bytesOf[owner] {
						t.Fatalf("owner %d is charged %d for %d", owner, got, bytesOf[owner])
					}
				}
			},
		})
		for _, s := range spans {
			if err := h.Free(s.owner, s.Off); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.freePages(); got != whole {
			t.Fatalf("%d of %d pages came back", got, whole)
		}
		if len(h.slabs) != 0 {
			t.Fatal("a slab is still listed")
		}
	})
}

func TestFaultsAreToldApartAndCounted(t *testing.T) {
	h, _ := newHeap(t, 2<<20)
	big, _ := h.Alloc(1, 20_000)
	small, _ := h.Alloc(1, 100)
	kept, _ := h.Alloc(1, 100)
	_ = h.Free(2, big.Off)
	_ = h.Free(2, kept.Off)
	_ = h.Free(1, big.Off+layout.Page)
	_ = h.Free(1, kept.Off+8)
	_ = h.Free(1, 0)
	for _, s := range []Span{big, small} {
		if err := h.Free(1, s.Off); err != nil {
			t.Fatal(err)
		}
		want(t, h.Free(1, s.Off), api.Invalid)
	}
	if got, expect := h.Faults(), (HeapFaults{Twice: 2, Foreign: 2, Stray: 3}); got != expect {
		t.Fatalf("%+v, want %+v", got, expect)
	}
}

func TestAnOwnerThatEndsWithMemoryLeaks(t *testing.T) {
	h, _ := newHeap(t, 4<<20)
	whole := h.Room()
	if whole.Bytes == 0 || whole.Largest == 0 || whole.Blocks == 0 {
		t.Fatalf("%+v", whole)
	}
	var spans []Span
	for _, n := range []uint64{100, 100, 5000, 70_000} {
		s, err := h.Alloc(9, n)
		if err != nil {
			t.Fatal(err)
		}
		spans = append(spans, s)
	}
	if err := h.Free(9, spans[3].Off); err != nil {
		t.Fatal(err)
	}
	_, _ = h.Alloc(1, 64)
	if o := h.Owners(); len(o) != 2 || o[0].Owner != 9 || o[0].Spans != 3 || o[0].Peak != 128+128+8192+131072 {
		t.Fatalf("%+v", o)
	}
	leak, err := h.End(9)
	if err != nil || leak.Spans != 3 || leak.Bytes != 128+128+8192 || len(leak.First) != 3 {
		t.Fatalf("%+v, %v", leak, err)
	}
	for _, s := range leak.First {
		if s != spans[0] && s != spans[1] && s != spans[2] {
			t.Fatalf("%+v is none of %+v", s, spans[:3])
		}
	}
	if leak, err = h.End(9); err != nil || leak.Spans != 0 {
		t.Fatalf("%+v, %v", leak, err)
	}
	if f := h.Faults(); f.Leaks != 1 || f.Leaked != 128+128+8192 {
		t.Fatalf("%+v", f)
	}
	if _, err := h.End(1); err != nil || h.Room() != whole || h.Total().Bytes != 0 {
		t.Fatalf("%+v, want %+v", h.Room(), whole)
	}
}

func TestOwnersAreBounded(t *testing.T) {
	h, _ := newHeap(t, 32<<20)
	for i := range MaxOwners {
		if _, err := h.Alloc(Owner(i+1), 64); err != nil {
			t.Fatal(err)
		}
	}
	_, err := h.Alloc(MaxOwners+1, 64)
	want(t, err, api.Exhausted)
	if _, err := h.End(1); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Alloc(MaxOwners+1, 64); err != nil {
		t.Fatal(err)
	}
}

func (h *Heap) freePages() (n uint32) {
	for page := range h.blocks {
		if b := h.blocks[page]; b.kind == pageFree {
			n += 1 << b.order
		}
	}
	return n
}

func FuzzOpenHeap(f *testing.F) {
	region := make([]byte, 1<<20)
	formatHeap(region)
	f.Add(append([]byte(nil), region[:512]...))
	h := reopen(f, region)
	_, _ = h.Alloc(1, 100)
	_, _ = h.Alloc(2, 10_000)
	f.Add(append([]byte(nil), region[:512]...))
	f.Fuzz(func(t *testing.T, table []byte) {
		region := make([]byte, 1<<20)
		formatHeap(region)
		copy(region[:layout.Window], table)
		header := make([]byte, layout.ArenaHeaderSize)
		h, err := openHeap(region, 0, &lease{generation: layout.U32(header, 0)}, newCell())
		if err != nil {
			want(t, err, api.Corrupt)
			return
		}
		s, err := h.Alloc(9, 3000)
		if err == nil {
			if err := h.Free(9, s.Off); err != nil {
				t.Fatal(err)
			}
		}
		for owner := range h.owners {
			if _, err := h.FreeAll(owner); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.freePages(); got != uint32(len(h.blocks)) {
			t.Fatalf("%d of %d pages came back", got, len(h.blocks))
		}
	})
}

func BenchmarkAllocFree(b *testing.B) {
	for name, n := range map[string]uint64{"64B": 64, "64KiB": 64 << 10} {
		b.Run(name, func(b *testing.B) {
			h, _ := newHeap(b, 32<<20)
			b.ReportAllocs()
			for b.Loop() {
				s, err := h.Alloc(1, n)
				if err != nil {
					b.Fatal(err)
				}
				_ = h.Free(1, s.Off)
			}
		})
	}
	b.Run("mixed", func(b *testing.B) {
		h, _ := newHeap(b, 32<<20)
		r := rand.New(rand.NewSource(1))
		var live [256]Span
		for b.Loop() {
			i := r.Intn(len(live))
			if live[i].Len != 0 {
				_ = h.Free(1, live[i].Off)
			}
			live[i], _ = h.Alloc(1, uint64(1+r.Intn(16<<10)))
		}
	})
}
