package shm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inos/host/shm"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
)

// A child process runs this binary again with childEnv naming what it does.
const childEnv = "INOS_CLIENT_SHM_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		if err := child(what, os.Args[1]); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child attaches and does what the parent's test needs from another process.
func child(what, socket string) error {
	ctx := context.Background()
	l, err := Attach(ctx, socket, Options{Name: "child", Write: true})
	if err != nil {
		return err
	}
	switch what {
	case "hold": // one of everything, until killed
		if _, err := l.MakeSpan(ctx, "span", 1<<20); err != nil {
			return err
		}
		w, err := l.MakeState(ctx, "state", 4096)
		if err != nil {
			return err
		}
		_ = w.Write([]byte("alive"))
		r, err := l.Reader(ctx, "ring", 4096, 100)
		if err != nil {
			return err
		}
		go func() { _, _ = l.Await(ctx, layout.CellPeers, l.Load(layout.CellPeers)) }()
		msg, err := r.Receive(ctx, nil)
		if err != nil {
			return err
		}
		fmt.Printf("got %s\n", msg)
		_, err = r.Receive(ctx, nil) // sleeps in the system when it is killed
		return err
	case "write": // a state as fast as it can, until killed
		w, err := l.MakeState(ctx, "fast", 1<<16)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		buf := make([]byte, 1<<16)
		for i := uint64(1); ; i++ {
			n := 8 + int(i*8)%(len(buf)-8)
			for at := 0; at < n; at += 8 {
				binary.LittleEndian.PutUint64(buf[at:], i)
			}
			if err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
	case "scribble": // through the arena's read-only mapping: a fault
		fmt.Println("ready")
		l.region.Bytes()[layout.HeapOffset] = 1
	}
	return nil
}

// lender lends a light arena and counts notices.
type lender struct {
	*shm.Lender
	arena  *arena.Arena
	socket string

	mu      sync.Mutex
	notices []shm.Notice
}

func newLender(t testing.TB) *lender {
	t.Helper()
	region, err := shm.Create(layout.Tiers[0].Size)
	if err != nil {
		t.Fatal(err)
	}
	a, err := arena.Format(region.Bytes(), 0, arena.Shared(shm.Waker()))
	if err != nil {
		t.Fatal(err)
	}
	l := &lender{arena: a, socket: filepath.Join(t.TempDir(), "arena.sock")}
	l.Lender, err = shm.Lend(shm.LenderConfig{Socket: l.socket, Region: region, Arena: a, Note: func(n shm.Notice) {
		l.mu.Lock()
		l.notices = append(l.notices, n)
		l.mu.Unlock()
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), region.Close()); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(l.socket); err == nil {
			t.Error("the socket is left behind")
		}
	})
	return l
}

func (l *lender) ended() (out []shm.Notice) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.notices {
		if n.Event == "ended" {
			out = append(out, n)
		}
	}
	return out
}

func (l *lender) attach(t testing.TB, o Options) *Lease {
	t.Helper()
	lease, err := Attach(t.Context(), l.socket, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Close() })
	return lease
}

func want(t testing.TB, err error, kind api.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited 20 s for " + what)
		}
	}
}

// start runs a child and waits for its first line.
func start(t testing.TB, what, socket string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0], socket)
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _, _ = cmd.Process.Wait() })
	return cmd, bufio.NewReader(out)
}

func TestALeaseReadsTheArenaAndSleepsUntilItMoves(t *testing.T) {
	n := newLender(t)
	l := n.attach(t, Options{Name: "reader"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := l.Load(layout.CellJobs)
	go func() {
		waitFor(t, "the sleeper to be held", func() bool { _, s := n.arena.Epoch(layout.CellJobs).Waiters(); return s == 1 })
		_ = n.arena.Jobs().Put(arena.JobEntry{ID: api.ID{1}, Method: "m/u.x", Gas: 5})
	}()
	if _, err := l.Await(ctx, layout.CellJobs, seen); err != nil {
		t.Fatal(err)
	}
	if jobs := l.View().Jobs(10); len(jobs) != 1 || jobs[0].Gas != 5 || jobs[0].Method != "m/u.x" {
		t.Fatalf("%+v", jobs)
	}
	n.arena.Metrics().Counter("c").Add(3)
	found := map[string]uint64{}
	l.View().Metrics(func(name string, _ arena.MetricKind, v uint64) bool { found[name] = v; return true })
	if found["c"] != 3 {
		t.Fatal(found)
	}
	events, err := l.Events(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = n.arena.Events().Append(1, "a:b:v1:c", []byte("x")) }()
	if e, err := events.Next(ctx); err != nil || e.Type != "a:b:v1:c" || string(e.Data) != "x" {
		t.Fatalf("%+v, %v", e, err)
	}
	w, err := n.arena.States().Make(arena.KernelOwner, "node/work", 100)
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.State(ctx, "node/work")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = w.Write([]byte("first")) }()
	if _, err := s.Await(ctx, 0); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, s.Most())
	if got, v, err := s.Read(buf); err != nil || v != 1 || string(buf[:got]) != "first" {
		t.Fatalf("%q at %d, %v", buf[:got], v, err)
	}
	if leases := n.Leases(); len(leases) != 1 || leases[0].Name != "reader" || leases[0].PID != int32(os.Getpid()) || leases[0].Watches != 3 {
		t.Fatalf("%+v", leases)
	}
}

// The system, not a promise, keeps a reader from writing.
func TestTheArenaCannotBeMappedForWriting(t *testing.T) {
	n := newLender(t)
	l := n.attach(t, Options{Write: true})
	file, err := l.region.File()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Mmap(int(file.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EACCES) {
		t.Fatalf("a writable mapping: %v", err)
	}
	if _, err := file.Write([]byte("x")); err == nil {
		t.Fatal("the file took a write")
	}
	if err := file.Truncate(0); err == nil {
		t.Fatal("the file was shrunk")
	}
	w := n.attach(t, Options{Write: true})
	if _, err := w.MakeSpan(t.Context(), "other's", 100); err != nil {
		t.Fatal(err)
	}
	if _, err := l.OpenSpan(t.Context(), "other's"); err != nil {
		t.Fatal(err)
	}
	var theirs *os.File
	for r := range l.mapped {
		theirs, _ = r.File()
	}
	if _, err := unix.Mmap(int(theirs.Fd()), 0, 4096, unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EACCES) {
		t.Fatalf("a writable mapping of another's span: %v", err)
	}
	cmd, out := start(t, "scribble", n.socket)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatal(line, err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("a process wrote into the arena and lived")
	}
	if b := n.arena.Heap(); b.Total().Bytes != 0 {
		t.Fatal("the arena changed")
	}
}

// A killed process leaves nothing: no lease, region, name, sleeper or ring end;
// the other end of its ring learns of it and goes on with the next process.
func TestAKilledProcessLeavesNothing(t *testing.T) {
	n := newLender(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	l := n.attach(t, Options{Name: "survivor", Write: true})
	w, err := l.Writer(ctx, "ring", 4096, 100)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		cmd, out := start(t, "hold", n.socket)
		for err = w.Send(ctx, []byte("hello")); errors.Is(err, api.Conflict); err = w.Send(ctx, []byte("hello")) {
		}
		if err != nil {
			t.Fatal(err)
		}
		if line, err := out.ReadString('\n'); err != nil || line != "got hello\n" {
			t.Fatal(line, err)
		}
		child := n.Leases()[1]
		span, err := n.arena.Heap().Alloc(child.Owner, 10_000) // what the node keeps for it
		if err != nil || span.Len == 0 {
			t.Fatal(err)
		}
		s, err := l.State(ctx, "state")
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, s.Most())
		if got, _, err := s.Read(buf); err != nil || string(buf[:got]) != "alive" {
			t.Fatalf("%q, %v", buf[:got], err)
		}
		waitFor(t, "the child to sleep on the peers' cell", func() bool { _, s := n.arena.Epoch(layout.CellPeers).Waiters(); return s == 1 })
		if child.Regions != 3 || child.Bytes < 1<<20 || len(n.Regions()) != 3 {
			t.Fatalf("%+v, %+v", child, n.Regions())
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the lease to end", func() bool { return len(n.ended()) == round+1 })
		if _, sleepers := n.arena.Epoch(layout.CellPeers).Waiters(); sleepers != 0 {
			t.Fatalf("%d sleepers are still counted", sleepers)
		}
		if u := n.arena.Heap().Usage(child.Owner); u != (arena.HeapUsage{}) || n.arena.Heap().Total().Bytes != 0 {
			t.Fatalf("%+v", u)
		}
		regions := n.Regions()
		if len(regions) != 1 || regions[0].Name != "ring" || regions[0].Ends != [2]uint32{l.Number(), 0} || len(n.arena.States().List()) != 0 {
			t.Fatalf("%+v, %+v", regions, n.arena.States().List())
		}
		if end := n.ended()[round]; end.Reclaimed < 1<<20 || end.Leak.Spans != 1 {
			t.Fatalf("%+v", end)
		}
	}
	if leases := n.Leases(); len(leases) != 1 {
		t.Fatalf("%+v", leases)
	}
	if f := n.arena.Heap().Faults(); f.Leaks != 3 {
		t.Fatalf("%+v", f)
	}
}

// A process reads a state that another writes as fast as it can.
func TestReadsAcrossProcessesAreNeverTorn(t *testing.T) {
	n := newLender(t)
	_, out := start(t, "write", n.socket)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatal(line, err)
	}
	l := n.attach(t, Options{})
	s, err := l.State(t.Context(), "fast")
	if err != nil {
		t.Fatal(err)
	}
	inside, err := n.arena.States().Open("fast")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, s.Most())
	for i, whole := 0, 0; whole < 2000; i++ {
		r := s.StateReader
		if i%2 == 1 {
			r = inside
		}
		got, version, err := r.Read(buf)
		if errors.Is(err, api.Conflict) || got == 0 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for at := 8; at < got; at += 8 {
			if !bytes.Equal(buf[:8], buf[at:at+8]) {
				t.Fatalf("version %d is torn at %d of %d", version, at, got)
			}
		}
		if v := binary.LittleEndian.Uint64(buf); uint32(v) != version {
			t.Fatalf("version %d holds that of write %d", version, v)
		}
		whole++
	}
}

func TestRefusalsAreTyped(t *testing.T) {
	n := newLender(t)
	ctx := t.Context()
	_, err := Attach(ctx, filepath.Join(t.TempDir(), "none"), Options{})
	want(t, err, api.Unavailable)
	_, err = Attach(ctx, n.socket, Options{Name: strings.Repeat("x", 200)})
	if err == nil {
		t.Fatal("a name that is too long was taken")
	}
	reader, writer := n.attach(t, Options{}), n.attach(t, Options{Write: true})
	_, err = reader.MakeState(ctx, "s", 100)
	want(t, err, api.Denied)
	_, err = reader.State(ctx, "none")
	want(t, err, api.NotFound)
	_, err = reader.OpenSpan(ctx, "none")
	want(t, err, api.NotFound)
	_, err = writer.MakeState(ctx, "", 100)
	want(t, err, api.Invalid)
	for _, size := range []int{0, -1, shm.MaxRegion + 1} {
		_, err = writer.MakeSpan(ctx, "size", size)
		want(t, err, api.Invalid)
	}
	_, err = writer.Writer(ctx, "ring", 1000, 10)
	want(t, err, api.Invalid)
	if _, err = writer.Writer(ctx, "ring", 1024, 10); err != nil {
		t.Fatal(err)
	}
	_, err = writer.Reader(ctx, "ring", 0, 0)
	want(t, err, api.Invalid)
	other := n.attach(t, Options{Write: true})
	_, err = other.Writer(ctx, "ring", 0, 0)
	want(t, err, api.Exists)
	_, err = other.Reader(ctx, "ring", 2048, 0)
	want(t, err, api.Conflict)
	_, err = other.MakeSpan(ctx, "ring", 10)
	want(t, err, api.Exists)
	_, err = other.OpenSpan(ctx, "ring")
	want(t, err, api.Denied)
	_, _, err = other.request(ctx, shm.Request{Op: 99})
	want(t, err, api.Unsupported)
	_, _, err = other.request(ctx, shm.Request{Op: layout.OpAttach})
	want(t, err, api.Exists)
	_, _, err = other.request(ctx, shm.Request{Op: layout.OpWatch, Cell: layout.EpochsCount})
	want(t, err, api.Invalid)
	for i := range shm.MaxLeaseRegions {
		if _, err := other.MakeSpan(ctx, fmt.Sprint("span ", i), 10); err != nil {
			t.Fatal(err)
		}
	}
	_, err = other.MakeSpan(ctx, "one too many", 10)
	want(t, err, api.Exhausted)
	for {
		l, err := Attach(ctx, n.socket, Options{})
		if err != nil {
			want(t, err, api.Exhausted)
			break
		}
		defer l.Close()
	}
	if got := len(n.Leases()); got != shm.MaxLeases {
		t.Fatalf("%d leases", got)
	}
}

func TestWaitsEndWithTheNode(t *testing.T) {
	n := newLender(t)
	l := n.attach(t, Options{Write: true})
	w, err := l.MakeState(t.Context(), "s", 100)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	go func() { _, err := l.Await(context.Background(), layout.CellJobs, l.Load(layout.CellJobs)); errs <- err }()
	go func() { _, err := w.Cell().Await(context.Background(), 0); errs <- err }()
	waitFor(t, "the sleeper to be held", func() bool { _, s := n.arena.Epoch(layout.CellJobs).Waiters(); return s == 1 })
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	<-l.Done()
	want(t, <-errs, api.Closed)
	l.View().Jobs(1) // memory that is gone reads as zeros
	_, err = l.MakeSpan(context.Background(), "late", 1)
	want(t, err, api.Closed)
	want(t, <-errs, api.Closed)
}

// Writers of one name come and go. Who reads it learns of each end, is woken by
// the next one's versions, and keeps no memory of those that ended.
func TestAReaderFollowsANameFromWriterToWriter(t *testing.T) {
	n := newLender(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := n.attach(t, Options{Name: "reader"})
	const rounds = shm.MaxLeaseWatches + 3
	for round := range rounds {
		lease := n.attach(t, Options{Write: true})
		w, err := lease.MakeState(ctx, "s", 100)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lease.MakeState(ctx, fmt.Sprint("s", round), 100); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"s", fmt.Sprint("s", round)} {
			s, err := r.State(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := r.State(ctx, name); err != nil || again != s {
				t.Fatalf("opened twice: %v", err)
			}
			woken := make(chan error, 1)
			go func() {
				_, err := s.Await(ctx, 0)
				woken <- err
			}()
			if name == "s" {
				waitFor(t, "the reader to be held", func() bool { _, held := w.Cell().Waiters(); return held == 1 })
				if err := w.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				if err := <-woken; err != nil {
					t.Fatal(err)
				}
				go func() {
					_, err := s.Await(ctx, 1)
					woken <- err
				}()
			}
			defer func() { // the writer has gone
				if err := <-woken; err != nil && !errors.Is(err, api.Closed) {
					t.Errorf("awaiting %s: %v", name, err)
				}
				if _, _, err := s.Read(make([]byte, 100)); !errors.Is(err, api.Closed) {
					t.Errorf("reading %s: %v", name, err)
				}
			}()
		}
		if err := lease.Close(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the lease to end", func() bool { return len(n.ended()) == round+1 })
	}
	if mapped := len(r.mapped); mapped > 4 {
		t.Fatalf("%d regions of ended states are mapped", mapped)
	}
}

// A lease gives back what it made, and may make it again.
func TestReleaseGivesBackARegion(t *testing.T) {
	n := newLender(t)
	ctx := t.Context()
	l := n.attach(t, Options{Write: true})
	for range shm.MaxLeaseRegions + 2 {
		span, err := l.MakeSpan(ctx, "span", 100)
		if err != nil {
			t.Fatal(err)
		}
		span[0] = 1
		if err := l.Release(ctx, "span"); err != nil || span[0] != 0 {
			t.Fatalf("%v, %d", err, span[0])
		}
	}
	want(t, l.Release(ctx, "span"), api.NotFound)
	if len(n.Regions()) != 0 || len(l.mapped) != 0 {
		t.Fatalf("%+v, %d mapped", n.Regions(), len(l.mapped))
	}
	_, err := l.MakeSpan(ctx, "\x1b[2J", 100)
	want(t, err, api.Invalid)
	_, err = Attach(ctx, n.socket, Options{Name: "\x1b[2J"})
	want(t, err, api.Invalid)
}

// Another user is refused by the system's word, whatever the file's mode says.
func TestOtherUsersAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	n := newLender(t)
	dir, err := os.MkdirTemp("", "inos-attach-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	exe := filepath.Join(dir, "child")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "sock")
	if err := errors.Join(os.WriteFile(exe, b, 0o755), os.Chmod(dir, 0o755), os.Link(n.socket, link), os.Chmod(link, 0o666)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, link)
	cmd.Dir, cmd.Env = "/", []string{childEnv + "=hold"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err == nil || !strings.Contains(string(out), "only processes of the node's own user") {
		t.Fatalf("%s, %v", out, err)
	}
	if len(n.Leases()) != 0 {
		t.Fatal("a lease was opened")
	}
}
