package consensus

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"inos/kernel/api"
	"inos/kernel/ledger/ledgertest"
)

func memoryWorld(t *testing.T, fs vfs.FS) (*ledgertest.World, *Ledger) {
	var l *Ledger
	w := ledgertest.NewWorld(t, func(mesh api.NodeID, now func() int64) api.Ledger {
		var err error
		l, err = Open("ledger", Options{Mesh: mesh, Now: now, FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		return l
	})
	return w, l
}

// smallDisk reports a free space that the test sets.
type smallDisk struct {
	vfs.FS
	free atomic.Uint64
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: d.free.Load()}, nil
}

func TestFullDisk(t *testing.T) {
	disk := &smallDisk{FS: vfs.NewMem()}
	disk.free.Store(1 << 30)
	w, l := memoryWorld(t, disk)
	defer func() { _ = l.Close() }()
	disk.free.Store(reserve - 1)
	w.Fails(api.NoSpace, w.A, api.Transfer{To: w.B.ID, Amount: 1})
	if page, err := l.Entries(context.Background(), api.EntryQuery{}); err != nil || len(page.Entries) != 3 {
		t.Fatalf("reads stop on a full disk: %v, %v", page, err)
	}
	disk.free.Store(reserve)
	w.Must(w.A, api.Transfer{To: w.B.ID, Amount: 1}) // it goes on by itself
}

// Power loss: what was not synced is gone, what was acknowledged is there.
func TestPowerLoss(t *testing.T) {
	fs := vfs.NewCrashableMem()
	w, l := memoryWorld(t, fs)
	w.Must(w.A, api.Transfer{To: w.B.ID, Amount: 5})
	cmd := w.A.Command(w.Now(), api.Transfer{To: w.B.ID, Amount: 7})
	if _, err := l.Submit(context.Background(), cmd); err != nil {
		t.Fatal(err)
	}
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	_ = l.Close()
	again, err := Open("ledger", Options{Mesh: w.Root.ID, Now: w.Now, FS: crashed})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	w.L = again
	w.Has(w.B, 1000*api.Credit+12)
	if out, err := again.Submit(context.Background(), cmd); err != nil || !out.Repeated {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := again.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	fs := vfs.NewMem()
	w, l := memoryWorld(t, fs)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("ledger", Options{Mesh: w.A.ID, FS: fs}); api.KindOf(err) != api.Denied {
		t.Fatalf("another mesh's ledger: %v", err)
	}
	db, err := openDB("ledger", fs, &logger{})
	if err != nil {
		t.Fatal(err)
	}
	key := append([]byte{'a'}, w.A.ID[:]...)
	if err := db.Set(key, make([]byte, 8), pebble.Sync); err != nil { // credits vanish
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("ledger", Options{Mesh: w.Root.ID, FS: fs}); api.KindOf(err) != api.Corrupt {
		t.Fatalf("balances that do not add up: %v", err)
	}
}

// Verify notices history that was changed behind its back.
func TestVerifyFindsForgery(t *testing.T) {
	w, l := memoryWorld(t, vfs.NewMem())
	defer func() { _ = l.Close() }()
	w.Must(w.A, api.Transfer{To: w.B.ID, Amount: 5})
	if _, err := l.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	page, err := l.Entries(context.Background(), api.EntryQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	forged := page.Entries[0]
	forged.Amount = 6
	if err := l.db.Set(entryKey(forged.Seq), entryValue(&forged), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Verify(context.Background()); api.KindOf(err) != api.Corrupt {
		t.Fatalf("a forged entry: %v", err)
	}
}

func TestClose(t *testing.T) {
	w, l := memoryWorld(t, vfs.NewMem())
	var wg sync.WaitGroup
	for range 8 {
		a := ledgertest.NewActor(2)
		wg.Go(func() {
			for {
				cmd := a.CommandAs(api.RandomID(), w.Now(), api.Transfer{To: w.B.ID, Amount: 1})
				if _, err := l.Submit(context.Background(), cmd); err != nil {
					if api.KindOf(err) != api.Closed {
						t.Error(err)
					}
					return
				}
				if _, err := l.Entries(context.Background(), api.EntryQuery{}); err != nil && !errors.Is(err, api.Closed) {
					t.Error(err)
				}
			}
		})
	}
	w.Must(w.A, api.Transfer{To: w.B.ID, Amount: 1})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseEntry(f *testing.F) {
	e := api.Entry{Seq: 1, Time: 2, From: api.Account{Kind: api.NodeAccount}, To: api.Account{Kind: api.EscrowAccount}, Amount: 3, Ref: "r"}
	f.Add(entryValue(&e))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseEntry(1, b)
		if err != nil {
			return
		}
		if string(entryValue(&got)) != string(b) {
			t.Fatal("an entry has two forms")
		}
	})
}
