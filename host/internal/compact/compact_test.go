package compact

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func open(t *testing.T, fs vfs.FS, s *Scheduler) *pebble.DB {
	t.Helper()
	opt := &pebble.Options{FS: fs, MemTableSize: 64 << 10, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}}
	opt.Experimental.CompactionScheduler = s
	db, err := pebble.Open("db", opt)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// silent drops Pebble's remarks; what goes wrong it also returns.
type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func fill(t *testing.T, db *pebble.DB, seed int64, keys int) {
	t.Helper()
	r := rand.New(rand.NewSource(seed))
	value := make([]byte, 512)
	for range keys {
		r.Read(value)
		key := binary.BigEndian.AppendUint64(nil, r.Uint64())
		if err := db.Set(key, value, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCompactionsRun: the database is compacted while it is written and settles
// afterwards, and then nothing is left that would wake up.
func TestCompactionsRun(t *testing.T) {
	s := New()
	db := open(t, vfs.NewMem(), s)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	fill(t, db, 1, 4_000)
	if err := db.Flush(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		m := db.Metrics()
		s.mu.Lock()
		asleep := s.running == 0 && !s.granting && (s.timer == nil || !s.timer.Stop())
		s.mu.Unlock()
		if asleep && m.Compact.NumInProgress == 0 && m.Compact.DefaultCount > 0 && m.Levels[0].Sublevels <= 2 {
			break
		}
		if !asleep {
			s.grant() // the timer may just have been stopped
		}
		if time.Now().After(deadline) {
			t.Fatalf("not settled: asleep %v\n%s", asleep, m)
		}
		time.Sleep(10 * time.Millisecond)
	}
	fill(t, db, 2, 200)
	before := db.Metrics().Compact.Count
	if err := db.Compact(t.Context(), []byte{0}, []byte{255}, true); err != nil {
		t.Fatal(err)
	}
	if n := db.Metrics().Compact.Count; n == before {
		t.Error("a compaction by hand did not run")
	}
}

// TestCloseWhileCompacting: closing waits for what runs and starts nothing more.
func TestCloseWhileCompacting(t *testing.T) {
	fs := vfs.NewMem()
	for range 5 {
		db := open(t, fs, New())
		fill(t, db, 1, 1_000)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
