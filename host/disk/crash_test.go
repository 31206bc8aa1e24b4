//go:build linux

package disk

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"inos/kernel/api"
)

// crashDir, when set, turns the test binary into the process that TestKill9 kills.
const crashDir = "INOS_DISK_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashWorker(dir)
		return
	}
	os.Exit(m.Run())
}

// crashWorker puts blocks from several goroutines and releases some leases. It
// prints a line per acknowledged Put, until it is killed.
func crashWorker(dir string) {
	s, err := Open(dir, Options{})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	lines := make(chan string)
	base := uint64(os.Getpid()) << 32
	for w := range 4 {
		go func() {
			for i := base + uint64(w)<<24; ; i++ {
				size := 100
				if i%2 == 0 {
					size = api.LargeBlock + int(i%5)*1000
				}
				a, b := block(2*i, size), block(2*i+1, 50)
				if err := s.Put(context.Background(), lease(1), []api.Block{a, b}); err != nil {
					lines <- "error " + err.Error()
				}
				lines <- a.Addr.String() + "\n" + b.Addr.String()
				c := block(2*i, size) // shared with a lease that goes at once
				other := api.LeaseID{2, byte(w), byte(i)}
				if s.Put(context.Background(), other, []api.Block{c, block(i<<20, size)}) == nil {
					_ = s.Rename(context.Background(), other, lease(3))
					_ = s.Release(context.Background(), lease(3))
				}
			}
		}()
	}
	for l := range lines {
		fmt.Println(l)
	}
}

func TestKill9(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	var acked []string
	for round := range rounds {
		acked = append(acked, runAndKill(t, dir, 3+rand.Intn(60))...)
		s := open(t, dir, Options{})
		for _, text := range acked {
			a, err := api.ParseAddress(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(t.Context(), a, nil); err != nil {
				t.Fatalf("round %d: an acknowledged block is lost: %v", round, err)
			}
		}
		idle(t, s)
		s.sweep(t.Context())
		checkConsistent(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged blocks survived %d kills", len(acked), rounds)
}

// runAndKill starts the worker, kills it in the middle after some lines, and
// returns the addresses it acknowledged.
func runAndKill(t *testing.T, dir string, lines int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }() // it was killed
	var acked []string
	in := bufio.NewScanner(out)
	for in.Scan() {
		acked = append(acked, in.Text())
		if len(acked) == lines {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(acked) < lines {
		t.Fatalf("the worker stopped early: %v", acked)
	}
	return acked
}

// checkConsistent compares totals, records and files.
func checkConsistent(t *testing.T, s *Store) {
	t.Helper()
	var blocks, bytes uint64
	var last api.Address
	err := s.Each(context.Background(), api.LeaseID{}, api.Address{}, func(a api.Address, _ api.LeaseID, n int) bool {
		if a != last {
			blocks, bytes, last = blocks+1, bytes+uint64(n), a
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if u := s.Usage(); u.Blocks != blocks || u.Bytes != bytes || u.Quarantined != 0 {
		t.Fatalf("totals %+v, counted %d blocks of %d bytes", u, blocks, bytes)
	}
	err = filepath.WalkDir(filepath.Join(s.dir, blocksDir), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := hex.DecodeString(d.Name())
		if err != nil {
			return err
		}
		if _, ok, err := s.record(api.Address(raw)); err != nil || !ok {
			return fmt.Errorf("%s has no record: %w", path, io.ErrUnexpectedEOF)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	noLitter(t, s)
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skip("needs root to mount a small tmpfs:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := open(t, filepath.Join(dir, "store"), Options{})
	var kept []api.Block
	full := 0
	for i := 0; full < 5; i++ {
		size := 1 << 20
		if i%3 == 0 {
			size = 40 << 10
		}
		b := block(uint64(i), size)
		if err := s.Put(t.Context(), lease(1), []api.Block{b}); err == nil {
			kept = append(kept, b)
		} else {
			wantKind(t, err, api.NoSpace)
			full++
		}
	}
	for _, b := range kept {
		mustGet(t, s, b)
	}
	noLitter(t, s)
	if err := s.Release(t.Context(), lease(1)); err != nil {
		t.Fatal("a full store cannot release:", err)
	}
	idle(t, s)
	mustPut(t, s, lease(2), block(5000, 1<<20))
	// Space that somebody else takes: the write itself fails.
	if err := os.WriteFile(filepath.Join(dir, "hog"), make([]byte, 64<<20), 0o600); err == nil {
		t.Fatal("the tmpfs did not fill")
	}
	wantKind(t, s.Put(t.Context(), lease(2), []api.Block{block(5001, 1<<20)}), api.NoSpace)
	mustGet(t, s, block(5000, 1<<20))
	noLitter(t, s)
}
