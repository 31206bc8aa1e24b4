package shm

import (
	"testing"

	"inos/kernel/api"
)

func TestDiscardedPagesReadAsZeros(t *testing.T) {
	r, err := Create(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := r.Bytes()
	for i := range b {
		b[i] = 1
	}
	if err := r.Discard(8192, 64<<10); err != nil {
		t.Fatal(err)
	}
	for i, v := range b {
		if want := byte(1); i >= 8192 && i < 8192+64<<10 && v != 0 || (i < 8192 || i >= 8192+64<<10) && v != want {
			t.Fatalf("byte %d is %d", i, v)
		}
	}
	for _, bad := range [][2]uint64{{1, 4096}, {0, 0}, {0, 100}, {1 << 20, 4096}, {4096, 1 << 20}, {1 << 63, 1 << 63}} {
		if err := r.Discard(bad[0], bad[1]); api.KindOf(err) != api.Invalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
