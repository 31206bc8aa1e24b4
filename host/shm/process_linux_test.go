package shm

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/epoch"
	"inos/kernel/layout"
	"inos/kernel/ring"
)

// A child process runs this binary again with childEnv set and the region as
// its fourth file.
const childEnv = "INOS_SHM_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// Where the two processes keep things in their region.
const (
	requestCtl, requestData = 0, 4096
	replyCtl, replyData     = 1024, 8192
	followedCell            = 2048
	ringData                = 1024
)

func rings(b []byte, open func(ctl, data []byte) (*ring.Ring, error)) (request, reply *ring.Ring, err error) {
	if request, err = open(b[requestCtl:][:layout.RingControlSize], b[requestData:][:ringData]); err != nil {
		return nil, nil, err
	}
	reply, err = open(b[replyCtl:][:layout.RingControlSize], b[replyData:][:ringData])
	return request, reply, err
}

// child echoes requests until one says "end".
func child() int {
	r, err := Open(os.NewFile(3, "region"))
	if err != nil {
		return 3
	}
	defer r.Close()
	request, reply, err := rings(r.Bytes(), ring.Open)
	if err != nil {
		return 4
	}
	request.ShareReader(Futex{})
	reply.ShareWriter(Futex{})
	for {
		msg, err := request.Reader().Receive(context.Background(), nil)
		if err != nil {
			return 5
		}
		if string(msg) == "end" {
			return 0
		}
		if err := reply.Writer().Send(context.Background(), msg); err != nil {
			return 6
		}
	}
}

func format(ctl, data []byte) (*ring.Ring, error) { return ring.Format(ctl, data, 100) }

// Two processes exchange messages and sleep between them.
func TestProcessesTalkThroughARing(t *testing.T) {
	r := newRegion(t, Granule)
	request, reply, err := rings(r.Bytes(), format)
	if err != nil {
		t.Fatal(err)
	}
	request.ShareWriter(Futex{})
	reply.ShareReader(Futex{})
	file, _ := r.File()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var trips []time.Duration
	for i := range 2000 {
		msg := []byte{byte(i), byte(i >> 8), 7}
		start := time.Now()
		if err := request.Writer().Send(ctx, msg); err != nil {
			t.Fatal(err)
		}
		got, err := reply.Reader().Receive(ctx, nil)
		if err != nil || string(got) != string(msg) {
			t.Fatalf("trip %d: %x, %v", i, got, err)
		}
		trips = append(trips, time.Since(start))
	}
	if err := request.Writer().Send(ctx, []byte("end")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("round trip between processes: p50 %v", median(trips))
}

func TestFollowEndsWithContextAndClose(t *testing.T) {
	r := newRegion(t, Granule)
	cell := epoch.New(r.Bytes()[followedCell:][:layout.EpochCellSize]).Follow(Futex{})
	for range 50 {
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error)
		go func() { _, err := cell.Await(ctx, 0); result <- err }()
		cancel()
		want(t, <-result, api.Canceled)
	}
	result := make(chan error)
	go func() { _, err := cell.Await(context.Background(), 0); result <- err }()
	cell.Close()
	want(t, <-result, api.Closed)
}

// A peer cannot shrink a region under us, nor hand us one that it could shrink.
func TestRegionsAreSealed(t *testing.T) {
	file, _ := newRegion(t, Granule).File()
	if err := file.Truncate(0); err == nil {
		t.Fatal("a region was shrunk")
	}
	fd, err := unix.MemfdCreate("loose", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	loose := os.NewFile(uintptr(fd), "loose")
	if err := loose.Truncate(Granule); err != nil {
		t.Fatal(err)
	}
	_, err = Open(loose)
	want(t, err, api.Denied)
}

// What a new arena takes from the machine is what is written in it, not its size.
func TestAnIdleArenaCostsLittle(t *testing.T) {
	r := newRegion(t, layout.Tiers[layout.DefaultTier].Size)
	a, err := arena.Format(r.Bytes(), layout.DefaultTier)
	if err != nil {
		t.Fatal(err)
	}
	r.OnClose(a.Close)
	a.Metrics().Counter("c").Add(1)
	if _, err := a.Events().Append(1, "node:started:v1:ok", nil); err != nil {
		t.Fatal(err)
	}
	file, _ := r.File()
	var info unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &info); err != nil {
		t.Fatal(err)
	}
	if used := info.Blocks * 512; used > 256<<10 {
		t.Fatalf("an idle arena takes %d bytes", used)
	}
}
