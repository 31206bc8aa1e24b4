package opfs

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"

	"inos/kernel/api"
)

// every has each kind of change once, with every field that the kind has.
var every = []change{
	{kind: opBlock, addr: api.Address{1, 2}, size: 5000, cached: true, at: []extent{{300, 1}, {7, 1}}},
	{kind: opBlock, addr: api.Address{2}, size: 1, at: []extent{{0, 1}}},
	{kind: opLease, lease: api.LeaseID{3}, addrs: []api.Address{{1, 2}, {2}}},
	{kind: opRename, lease: api.LeaseID{3}, to: api.LeaseID{4}},
	{kind: opRelease, lease: api.LeaseID{4}},
	{kind: opEvict, addr: api.Address{5}},
	{kind: opSpoil, addr: api.Address{6}},
	{kind: opSet, key: []byte("node\x00k"), value: []byte("value")},
	{kind: opDelete, key: []byte("node\x00k")},
	{kind: opQuarantine, count: 9, at: []extent{{100, 257}}},
	{kind: opEnd, count: 300},
}

func encode(list []change) (b []byte) {
	for i := range list {
		b = appendOp(b, &list[i])
	}
	return b
}

func decode(b []byte) (list []change, ok bool) {
	d := decoder{b: b}
	for len(d.b) > 0 && !d.bad {
		list = append(list, d.next())
	}
	return list, !d.bad
}

func TestChangesRoundTrip(t *testing.T) {
	b := encode(every)
	got, ok := decode(b)
	if !ok || !reflect.DeepEqual(got, every) {
		t.Fatalf("%+v, %v", got, ok)
	}
	for n := range b {
		list, ok := decode(b[:n])
		if ok && !bytes.Equal(encode(list), b[:n]) {
			t.Fatalf("%d bytes read as something else", n)
		}
	}
}

// The bytes are a format: tabs keep them.
func TestLogGolden(t *testing.T) {
	frame := appendFrame(header(7), 7, 3, encode(every[1:2]))
	const want = "696e6f7320746162" + "01000000" + "00000000" + "0700000000000000" + "30ef5eb0" + "00000000" +
		"25000000" + "2657814d" + "01" + "0200000000000000000000000000000000000000000000000000000000000000" + "02" + "01" + "00" + "01"
	if got := hex.EncodeToString(frame); got != want {
		t.Fatalf("the log's bytes changed:\n%s\n%s", got, want)
	}
}

func FuzzChanges(f *testing.F) {
	f.Add(encode(every))
	for i := range every {
		f.Add(encode(every[i : i+1]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, ok := decode(b)
		if !ok {
			return
		}
		s := newState()
		for i := range list {
			s.apply(&list[i])
		}
		again, ok := decode(encode(list))
		if !ok || !reflect.DeepEqual(again, list) {
			t.Fatal("what was read does not read again")
		}
	})
}

// FuzzLog opens a store whose log is anything.
func FuzzLog(f *testing.F) {
	files := inMemory(1 << 20)
	s, err := openOn(files, "", Options{})
	if err != nil {
		f.Fatal(err)
	}
	if err := s.commit(false, every[:9]); err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := s.commit(false, every[i:i+1], every[2:3]); err != nil {
			f.Fatal(err)
		}
	}
	log := make([]byte, s.journal.end)
	if _, err := files.logs[s.journal.cur].ReadAt(log, 0); err != nil {
		f.Fatal(err)
	}
	f.Add(log)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := inMemory(1 << 20)
		if err := m.logs[1].WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		s, err := openOn(m, "", Options{})
		if err != nil {
			if api.KindOf(err) == api.Other {
				t.Fatal(err)
			}
			return
		}
		if err := s.Meta("m").Set([]byte("k"), []byte("v")); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = openOn(m, "", Options{}); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Meta("m").Get([]byte("k")); err != nil || string(v) != "v" {
			t.Fatal("a record is gone:", err)
		}
	})
}
