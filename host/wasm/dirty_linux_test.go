package wasm

import (
	"bytes"
	"math/rand"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRestore: whatever pages were read or written, few or many, the image shows
// again, on the way that copies pages back and on the one that drops them.
func TestRestore(t *testing.T) {
	const pages = 200
	var r region
	if err := r.reserve(pages * osPage); err != nil {
		t.Fatal(err)
	}
	defer r.release()
	if err := r.commit(pages * osPage); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewSource(1))
	for p := 0; p < pages; p += 3 { // the others are holes
		random.Read(r.mem[p*osPage : (p+1)*osPage])
	}
	want := bytes.Clone(r.mem)
	img, err := r.capture(pages * osPage)
	if err != nil {
		t.Fatal(err)
	}
	defer img.close()
	if err := r.adopt(img); err != nil {
		t.Fatal(err)
	}
	view := img.view
	for round := range 300 {
		img.view = view
		if round%5 == 4 {
			img.view = nil
		}
		for range random.Intn(2 * maxDirty) {
			p := random.Intn(pages)
			if random.Intn(3) == 0 {
				_ = r.mem[p*osPage]
				continue
			}
			r.mem[p*osPage+random.Intn(osPage)]++
		}
		if err := r.restore(0, pages*osPage); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.mem, want) {
			t.Fatalf("round %d: the memory differs from its image", round)
		}
	}
	img.view = view
}

// TestFewPagesAreKept: a call that wrote little is undone without giving its
// pages away, and one that wrote much gives all of them away.
func TestFewPagesAreKept(t *testing.T) {
	if pagemap() == nil {
		t.Skip("this kernel cannot tell written pages (PAGEMAP_SCAN, Linux 6.7)")
	}
	const pages = 4 * maxDirty
	var r region
	if err := r.reserve(pages * osPage); err != nil {
		t.Fatal(err)
	}
	defer r.release()
	if err := r.commit(pages * osPage); err != nil {
		t.Fatal(err)
	}
	img, err := r.capture(pages * osPage)
	if err != nil {
		t.Fatal(err)
	}
	defer img.close()
	if err := r.adopt(img); err != nil {
		t.Fatal(err)
	}
	found := new(findings)
	for _, c := range []struct{ write, keep int }{{3, 3}, {maxDirty, maxDirty}, {maxDirty + 1, 0}, {pages, 0}} {
		if err := unix.Madvise(r.mem, unix.MADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		for p := range c.write {
			r.mem[p*osPage] = 1
		}
		if err := r.restore(0, pages*osPage); err != nil {
			t.Fatal(err)
		}
		n, ok := pagemap().scan(r.mem, found)
		kept := 0
		for _, f := range found[:n] {
			kept += int(f.end-f.start) / osPage
		}
		if !ok || kept != c.keep {
			t.Errorf("%d written pages: %d are kept, want %d", c.write, kept, c.keep)
		}
	}
}
