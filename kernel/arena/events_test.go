package arena

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// newEvents makes a small log; reopening it stands for the next owner.
func newEvents(size int) (open func() *Events, ctl, data []byte) {
	ctl, data = make([]byte, layout.EventControlSize), make([]byte, size)
	header := make([]byte, layout.ArenaHeaderSize)
	cell := newCell()
	return func() *Events {
		return openEvents(ctl, data, &lease{generation: layout.U32(header, 0)}, cell)
	}, ctl, data
}

func TestEventsArriveInOrderWithTheirBytes(t *testing.T) {
	a, _ := newArena(t)
	log := a.Events()
	if _, err := log.Append(1, "a:before:v1:ok", nil); err != nil {
		t.Fatal(err)
	}
	follow, all := log.Follow(), log.After(0)
	if seq, err := log.Append(2, "a:b:v1:ok", []byte(`{"x":1}`)); seq != 2 || err != nil {
		t.Fatal(seq, err)
	}
	for _, r := range []*EventReader{follow, all, log.After(1)} {
		if r == all {
			if ev, err := r.Next(context.Background()); err != nil || ev.Seq != 1 {
				t.Fatalf("%+v, %v", ev, err)
			}
		}
		ev, err := r.Next(context.Background())
		if err != nil || ev.Seq != 2 || ev.Time != 2 || ev.Type != "a:b:v1:ok" || string(ev.Data) != `{"x":1}` || ev.Missed != 0 {
			t.Fatalf("%+v, %v", ev, err)
		}
		if _, ok, err := r.TryNext(); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for _, bad := range []struct {
		kind string
		n    int
	}{{"", 0}, {string(make([]byte, MaxEventType+1)), 0}, {"x", MaxEventData + 1}} {
		_, err := log.Append(0, bad.kind, make([]byte, bad.n))
		want(t, err, api.Invalid)
	}
}

func TestNextWaits(t *testing.T) {
	a, _ := newArena(t)
	r := a.Events().Follow()
	got := make(chan Event)
	go func() { ev, _ := r.Next(context.Background()); got <- ev }()
	if _, err := a.Events().Append(7, "x:y:v1:ok", []byte("z")); err != nil {
		t.Fatal(err)
	}
	if ev := <-got; ev.Time != 7 {
		t.Fatalf("%+v", ev)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.Next(ctx)
	want(t, err, api.Canceled)
}

// Against a model: a reader gets every event still in the log, in order, and
// the count of those it missed; a new owner finds the log as it was.
func TestEventsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 1 << 11
		open, _, _ := newEvents(size)
		log := open()
		var model [][]byte
		readers := []*EventReader{log.After(0), log.After(0)}
		seen := make([]uint64, len(readers))
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				data := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data")
				if seq, err := log.Append(int64(len(model)), "t", data); err != nil || seq != uint64(len(model)+1) {
					t.Fatal(seq, err)
				}
				model = append(model, data)
			},
			"read": func(t *rapid.T) {
				i := rapid.IntRange(0, len(readers)-1).Draw(t, "reader")
				ev, ok, err := readers[i].TryNext()
				if err != nil || ok != (seen[i] < uint64(len(model))) {
					t.Fatalf("%v, %v with %d of %d seen", ok, err, seen[i], len(model))
				}
				if !ok {
					return
				}
				if ev.Seq != seen[i]+ev.Missed+1 || !bytes.Equal(ev.Data, model[ev.Seq-1]) {
					t.Fatalf("got %+v after %d", ev, seen[i])
				}
				seen[i] = ev.Seq
			},
			"take over": func(t *rapid.T) {
				log = open()
				for i := range readers {
					readers[i] = log.After(seen[i])
				}
			},
			"": func(t *rapid.T) {
				if held := log.end - log.first; held > size || len(model) > 0 && held == 0 {
					t.Fatalf("the log holds %d of %d bytes", held, size)
				}
			},
		})
	})
}

// Readers run beside a writer that laps them all the time; no event is torn.
func TestEventsAreNeverTorn(t *testing.T) {
	open, _, _ := newEvents(1 << 10)
	log := open()
	const events = 20_000
	var done sync.WaitGroup
	for range 2 {
		r := log.After(0)
		done.Go(func() {
			for got := uint64(0); got < events; {
				ev, err := r.Next(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				if ev.Seq != got+ev.Missed+1 || !whole(ev) {
					t.Errorf("torn: %+v after %d", ev, got)
					return
				}
				got = ev.Seq
			}
		})
	}
	data := make([]byte, 0, 256)
	for i := uint64(1); i <= events; i++ {
		data = data[:0]
		for len(data) < int(8+i%20*8) {
			data = binary.LittleEndian.AppendUint64(data, i)
		}
		if _, err := log.Append(int64(i), "t", data); err != nil {
			t.Fatal(err)
		}
	}
	done.Wait()
}

// whole reports whether every word of the event's data is its number.
func whole(ev Event) bool {
	for b := ev.Data; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != ev.Seq {
			return false
		}
	}
	return ev.Time == int64(ev.Seq) && len(ev.Data) == int(8+ev.Seq%20*8)
}

func FuzzEvents(f *testing.F) {
	open, ctl, data := newEvents(512)
	log := open()
	for range 9 {
		_, _ = log.Append(1, "t", make([]byte, 40))
	}
	f.Add(ctl, data)
	f.Add(bytes.Repeat([]byte{0xff}, len(ctl)), data)
	f.Fuzz(func(t *testing.T, ctlImage, dataImage []byte) {
		open, ctl, data := newEvents(512)
		live := open()
		_, _ = live.Append(1, "t", []byte("before"))
		r := live.After(0)
		copy(ctl, ctlImage)
		copy(data, dataImage)
		drainEvents(t, r)
		log := open()
		r = log.After(0)
		for range 20 {
			if _, err := log.Append(1, "type", []byte("after")); err != nil {
				t.Fatal(err)
			}
			drainEvents(t, r)
		}
	})
}

func drainEvents(t *testing.T, r *EventReader) {
	for range 100 {
		ev, ok, err := r.TryNext()
		if err != nil && api.KindOf(err) != api.Corrupt {
			t.Fatal(err)
		}
		if len(ev.Data) > MaxEventData || !ok && err == nil {
			return
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	a, _ := newArena(b)
	data := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = a.Events().Append(1, "job:done:v1:ok", data)
	}
}
