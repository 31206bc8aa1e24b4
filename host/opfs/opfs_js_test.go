package opfs

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"syscall/js"
	"testing"
	"time"

	"inos/host/internal/promise"
	"inos/host/storetest"
	"inos/kernel/api"
)

// crashPlace, when set, turns the program into the worker that TestKilledWorker
// ends. It runs in a worker of its own, beside the test's.
const crashPlace = "INOS_OPFS_CRASH_PLACE"

// crashWait is how long that worker waits for the store.
const crashWait = "INOS_OPFS_CRASH_WAIT"

// listPlace, when set, turns the program into one that prints the addresses of all
// leased blocks that a store has, each after reading it.
const listPlace = "INOS_OPFS_LIST_PLACE"

func TestMain(m *testing.M) {
	if place := os.Getenv(listPlace); place != "" {
		listWorker(place)
		return
	}
	if place := os.Getenv(crashPlace); place != "" {
		crashWorker(place)
		return
	}
	os.Exit(m.Run())
}

func openNamed(place string, opt Options) (*Store, error) {
	return Open(context.Background(), place, opt)
}

var placed int

// newPlace names a store that this profile has not.
func newPlace(testing.TB) string {
	placed++
	return fmt.Sprintf("test-%d-%d", os.Getpid(), placed)
}

func TestSuite(t *testing.T) {
	storetest.Run(t, hostOf(newPlace, func(place string, opt Options) (*Store, error) {
		opt.Wait = 100 * time.Millisecond // nothing here is about to let go
		return openNamed(place, opt)
	}))
}

func TestFilesAreKept(t *testing.T) {
	s, err := openNamed(newPlace(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Volatile() != "" {
		t.Fatal("in memory, although this browser has files:", s.Volatile())
	}
	if u := s.Usage(); u.Free < 1<<20 || u.Free > 1<<50 {
		t.Fatalf("the browser's quota is not in %+v", u)
	}
}

func listWorker(place string) {
	s, err := openNamed(place, Options{})
	ctx := context.Background()
	if err == nil {
		err = s.Each(ctx, api.LeaseID{}, api.Address{}, func(a api.Address, _ api.LeaseID, _ int) bool {
			if _, err := s.Get(ctx, a, nil); err != nil {
				fmt.Println("error", err)
				return false
			}
			fmt.Println(a.String())
			return true
		})
	}
	if err != nil || s.Usage().Quarantined != 0 {
		fmt.Println("error", err)
		os.Exit(1)
	}
}

// crashWorker puts blocks and releases some leases, and prints a line per
// acknowledged Put, until it is ended.
func crashWorker(place string) {
	wait, _ := time.ParseDuration(os.Getenv(crashWait))
	s, err := openNamed(place, Options{Quota: 1 << 30, Wait: wait})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	ctx := context.Background()
	seed := uint64(time.Now().UnixNano())
	for i := seed; ; i += 4 {
		a, b := storetest.Block(i, 1000+int(i%7)*20000), storetest.Block(i+1, 50)
		if err := s.Put(ctx, storetest.Lease(1), []api.Block{a, b}); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(a.Addr.String())
		fmt.Println(b.Addr.String())
		if s.Put(ctx, storetest.Lease(2), []api.Block{storetest.Block(i+2, 70000)}) == nil {
			_ = s.Rename(ctx, storetest.Lease(2), storetest.Lease(3))
			_ = s.Release(ctx, storetest.Lease(3))
		}
		_ = s.Cache(ctx, []api.Block{storetest.Block(i+3, 9000)})
		_ = s.Meta("m").Set([]byte("last"), a.Addr[:])
	}
}

func TestKilledWorker(t *testing.T) {
	place := newPlace(t)
	var acked []string
	for round := range 4 {
		acked = append(acked, runAndKill(t, place, 3+rand.Intn(40))...)
		s, err := openNamed(place, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range acked {
			a, err := api.ParseAddress(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(t.Context(), a, nil); err != nil {
				t.Fatalf("round %d: an acknowledged block is lost: %v", round, err)
			}
		}
		if _, err := s.Meta("m").Get([]byte("last")); err != nil {
			t.Fatal(err)
		}
		if u := s.Usage(); u.Quarantined != 0 || u.Blocks < uint64(len(acked)) {
			t.Fatalf("usage %+v after %d acknowledged blocks", u, len(acked))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d acknowledged blocks survived 4 ended workers", len(acked))
}

// runAndKill starts the worker, ends it in the middle after some lines, and
// returns the addresses it acknowledged.
func runAndKill(t *testing.T, place string, lines int) (acked []string) {
	t.Helper()
	text := make(chan string, 1024)
	exited := make(chan int, 1)
	say := js.FuncOf(func(_ js.Value, args []js.Value) any { text <- args[0].String(); return nil })
	exit := js.FuncOf(func(_ js.Value, args []js.Value) any { exited <- args[0].Int(); return nil })
	child := js.Global().Get("goBrowser").Call("spawn", map[string]any{crashPlace: place}, say, exit)
	var all strings.Builder
	for deadline := time.After(30 * time.Second); strings.Count(all.String(), "\n") < lines; {
		select {
		case s := <-text:
			all.WriteString(s)
		case code := <-exited:
			t.Fatalf("the worker ended with %d: %s", code, all.String())
		case <-deadline:
			t.Fatalf("the worker said only: %s", all.String())
		}
	}
	time.Sleep(time.Duration(rand.Intn(5000)) * time.Microsecond)
	child.Call("kill")
	for l := range strings.Lines(all.String()) {
		if strings.HasSuffix(l, "\n") {
			acked = append(acked, strings.TrimSpace(l))
		}
	}
	return acked
}

// Two tabs never have one store: the second is refused while the first lives,
// and served once it is gone.
func TestOtherTab(t *testing.T) {
	place := newPlace(t)
	s, err := openNamed(place, Options{})
	if err != nil {
		t.Fatal(err)
	}
	exited := make(chan int, 1)
	var all strings.Builder
	say := js.FuncOf(func(_ js.Value, args []js.Value) any { all.WriteString(args[0].String()); return nil })
	exit := js.FuncOf(func(_ js.Value, args []js.Value) any { exited <- args[0].Int(); return nil })
	js.Global().Get("goBrowser").Call("spawn", map[string]any{crashPlace: place, crashWait: "200ms"}, say, exit)
	if code := <-exited; code != 1 || !strings.Contains(all.String(), "conflict") {
		t.Fatalf("the other worker ended with %d: %s", code, all.String())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	runAndKill(t, place, 2)
}

func TestNoFiles(t *testing.T) {
	storage := js.Global().Get("navigator").Get("storage")
	js.Global().Get("Object").Call("defineProperty", storage, "getDirectory", map[string]any{
		"configurable": true, "value": js.Global().Get("Function").New("return Promise.reject(new DOMException('no', 'SecurityError'))"),
	})
	defer js.Global().Get("Reflect").Call("deleteProperty", storage, "getDirectory")
	s, err := openNamed(newPlace(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.Contains(s.Volatile(), "private window") {
		t.Fatalf("a browser without files has a store that says %q", s.Volatile())
	}
	b := storetest.Block(1, api.LargeBlock)
	mustPut(t, s, 1, b)
	if _, err := s.Get(t.Context(), b.Addr, nil); err != nil || s.Usage().Free == 0 || s.Usage().Free > memoryRoom {
		t.Fatal(s.Usage(), err)
	}
	for i := uint64(2); ; i++ {
		err := s.Put(t.Context(), storetest.Lease(1), []api.Block{storetest.Block(i, api.MaxBlock)})
		if err == nil && i < 300 {
			continue
		}
		if !errors.Is(err, api.NoSpace) {
			t.Fatalf("block %d: %v", i, err)
		}
		return
	}
}

// The browser's own quota, lowered under the store: what it refuses is NoSpace,
// the cache makes room all the same, and the log goes on within its reserve.
func TestBrowserQuota(t *testing.T) {
	quota := func(bytes int) {
		if _, err := promise.Await(t.Context(), js.Global().Get("goBrowser").Call("quota", bytes), nil); err != nil {
			t.Fatal(err)
		}
	}
	s, err := openNamed(newPlace(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cached := storetest.Block(1000, api.MaxBlock)
	mustCache(t, s, cached)
	estimate, err := promise.Await(t.Context(), js.Global().Get("navigator").Get("storage").Call("estimate"), nil)
	if err != nil {
		t.Fatal(err)
	}
	quota(estimate.Get("usage").Int() + 8<<20)
	defer quota(-1)
	n, refused := uint64(0), error(nil)
	for ; n < 40 && refused == nil; n++ {
		refused = s.Put(t.Context(), storetest.Lease(1), []api.Block{storetest.Block(n, api.MaxBlock)})
	}
	wantKind(t, refused, api.NoSpace)
	if _, err := s.Get(t.Context(), cached.Addr, nil); !errors.Is(err, api.NotFound) {
		t.Fatal("the cache kept its room:", err)
	}
	if n < 7 {
		t.Fatalf("only %d blocks of 1 MiB fit into 8 MiB and the cache", n-1)
	}
	for i := range n - 1 {
		if _, err := s.Get(t.Context(), storetest.Block(i, api.MaxBlock).Addr, nil); err != nil {
			t.Fatal("reads end with writes:", err)
		}
	}
	if err := s.Release(t.Context(), storetest.Lease(1)); err != nil {
		t.Fatal("a full store cannot release:", err)
	}
	mustPut(t, s, 2, storetest.Block(0, api.MaxBlock))
}
