package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"inos/kernel/api"
)

// keys lists a space's keys with a prefix, from one on, at most most.
func keys(t testing.TB, r Records, prefix, from string, most int) (list []string) {
	t.Helper()
	visit := func(k, _ []byte) bool {
		list = append(list, string(k))
		return len(list) < most
	}
	err := r.Iterate([]byte(prefix), visit)
	if from != "" {
		list = nil
		err = r.IterateFrom([]byte(prefix), []byte(from), visit)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func testRecords(t *testing.T, h Host) {
	place := h.Place(t)
	s := open(t, h, place, 0)
	objects, jobs := h.Records(s, "objects"), h.Records(s, "jobs")
	for i := range 10 {
		if err := objects.Set(fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	b := jobs.Batch()
	b.Set([]byte("a"), []byte("1"))
	b.Set([]byte("c"), nil)
	b.Delete([]byte("b"))
	lazy := objects.Batch()
	lazy.Set([]byte("z"), []byte("lazy"))
	lazy.Delete([]byte("k9"))
	if err := errors.Join(b.Commit(), objects.Delete([]byte("k3")), objects.SetLazy([]byte("l"), []byte("old")),
		objects.SetLazy([]byte("l"), []byte("new")), objects.DeleteLazy([]byte("k8")), lazy.CommitLazy()); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"k3", "k8", "k9", "never"} {
		_, err := objects.Get([]byte(gone))
		wantKind(t, err, api.NotFound)
	}
	old := objects
	s = reopen(t, h, s, place)
	wantKind(t, old.Set([]byte("k"), nil), api.Closed)
	objects, jobs = h.Records(s, "objects"), h.Records(s, "jobs")
	if got := fmt.Sprint(keys(t, objects, "k", "", 5)); got != "[k0 k1 k2 k4 k5]" {
		t.Fatal(got)
	}
	for key, want := range map[string]string{"l": "new", "z": "lazy", "k0": "v0"} {
		if v, err := objects.Get([]byte(key)); err != nil || string(v) != want {
			t.Fatalf("%s: %q, %v", key, v, err)
		}
	}
	if v, err := jobs.Get([]byte("a")); err != nil || string(v) != "1" {
		t.Fatal(v, err)
	}
	if v, err := jobs.Get([]byte("c")); err != nil || len(v) != 0 {
		t.Fatal(v, err)
	}
}

func testRecordOrder(t *testing.T, h Host) {
	s := fresh(t, h)
	r, other := h.Records(s, "a"), h.Records(s, "ab")
	for _, k := range []string{"p\xff\xff", "p", "q", "p1", "p\x00", "o"} {
		if err := errors.Join(r.Set([]byte(k), []byte{1}), other.Set([]byte(k), nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ prefix, from, want string }{
		{"p", "", `["p" "p\x00" "p1" "p\xff\xff"]`},
		{"p", "p1", `["p1" "p\xff\xff"]`},
		{"p", "p0", `["p1" "p\xff\xff"]`},
		{"", "", `["o" "p" "p\x00" "p1" "p\xff\xff" "q"]`},
		{"x", "", `[]`},
	} {
		if got := fmt.Sprintf("%q", keys(t, r, c.prefix, c.from, 100)); got != c.want {
			t.Errorf("prefix %q from %q: %s, want %s", c.prefix, c.from, got, c.want)
		}
	}
}

func testRecordBounds(t *testing.T, h Host) {
	r := h.Records(fresh(t, h), "space")
	big := bytes.Repeat([]byte("x"), 4<<20)
	if err := r.Set([]byte("big"), big); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Get([]byte("big")); err != nil || !bytes.Equal(v, big) {
		t.Fatal("4 MiB did not come back:", err)
	}
	wantKind(t, r.Set([]byte("k"), append(big, 'x')), api.Invalid)
	wantKind(t, r.SetLazy([]byte("k"), append(big, 'x')), api.Invalid)
	b := r.Batch()
	b.Set([]byte("good"), []byte("1"))
	b.Set([]byte("k"), append(big, 'x'))
	wantKind(t, b.Commit(), api.Invalid)
	_, err := r.Get([]byte("good"))
	wantKind(t, err, api.NotFound)
}

func testRecordSnapshot(t *testing.T, h Host) {
	r := h.Records(fresh(t, h), "space")
	value := []byte("v")
	for i := range 100 {
		if err := r.SetLazy(fmt.Appendf(nil, "%03d", i), value); err != nil {
			t.Fatal(err)
		}
	}
	value[0] = 'x' // copied, not kept
	n := 0
	if err := r.Iterate(nil, func(k, v []byte) bool {
		if string(v) != "v" {
			t.Errorf("%s is %q", k, v)
		}
		n++
		if err := errors.Join(r.DeleteLazy(k), r.SetLazy(append([]byte("9"), k...), nil)); err != nil {
			t.Error(err)
		}
		return true
	}); err != nil || n != 100 {
		t.Fatalf("%d records, %v", n, err)
	}
	if v, err := r.Get([]byte("9000")); err != nil || len(v) != 0 {
		t.Fatal(v, err)
	}
	if n := len(keys(t, r, "", "", 1000)); n != 100 {
		t.Fatalf("%d records afterwards", n)
	}
}
