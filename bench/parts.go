package bench

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"inos/cluster"
	"inos/kernel/api"
)

const mb = 1e6

// start measures how soon a node serves.
func (s *suite) start(ctx context.Context) error {
	var first, again []float64
	for range s.reps {
		c, stop, err := s.mesh(ctx, "a")
		if err != nil {
			return err
		}
		first = append(first, c.Nodes[0].Ready.Seconds())
		c.Nodes[0].Stop()
		if err := c.Nodes[0].Start(ctx); err != nil {
			stop()
			return err
		}
		again = append(again, c.Nodes[0].Ready.Seconds())
		stop()
	}
	s.add(Row{Name: "node ready, first start", Unit: "s", Target: 0.3, Less: true}, first)
	s.add(Row{Name: "node ready, later start", Unit: "s", Target: 0.3, Less: true}, again)
	return nil
}

// storage measures large objects.
func (s *suite) storage(ctx context.Context) error {
	c, stop, err := s.mesh(ctx, "a", reader)
	if err != nil {
		return err
	}
	defer stop()
	size := 256 << 20
	if s.opt.Quick {
		size = 32 << 20
	}
	one := api.Policy{Copies: 1}
	a, b := c.Nodes[0], c.Nodes[1]
	var puts, gets, plain []float64
	for i := range s.reps {
		data := random(int64(i), size)
		raw, err := s.writeFile(data)
		if err != nil {
			return err
		}
		plain = append(plain, raw)
		t := time.Now()
		obj, err := putBytes(ctx, a, "random.bin", data, one)
		if err != nil {
			return err
		}
		puts = append(puts, float64(size)/mb/time.Since(t).Seconds())
		t = time.Now()
		if err := getInto(ctx, b, obj.Link, &compare{want: data}); err != nil {
			return err
		}
		gets = append(gets, float64(size)/mb/time.Since(t).Seconds())
		if err := a.Client.Remove(ctx, obj.Link); err != nil {
			return err
		}
	}
	s.add(Row{Name: "put 256 MiB random, sealed, fsynced, 1 copy", Unit: "MB/s", Target: 300}, puts)
	s.compareWith("put 256 MiB random, sealed, fsynced, 1 copy", "plain file, write and fsync", plain)
	s.add(Row{Name: "get 256 MiB from another node", Unit: "MB/s", Target: 250}, gets)
	var texts, share []float64
	for i := range s.reps {
		data := text(int64(i), size)
		t := time.Now()
		obj, err := putBytes(ctx, a, "text.log", data, one)
		if err != nil {
			return err
		}
		texts = append(texts, float64(size)/mb/time.Since(t).Seconds())
		share = append(share, float64(obj.Wire)/float64(size))
		if err := a.Client.Remove(ctx, obj.Link); err != nil {
			return err
		}
	}
	s.add(Row{Name: "put 256 MiB text, sealed, fsynced, 1 copy", Unit: "MB/s", Target: 200}, texts)
	s.add(Row{Name: "share of the disk that text needs", Unit: "of 1", Target: 0.25, Less: true}, share)
	return s.firstByte(ctx, a, b)
}

// writeFile is what the disk gives at this moment: one file, written and
// synced, in MB/s.
func (s *suite) writeFile(data []byte) (float64, error) {
	name := filepath.Join(s.dir, "plain")
	defer os.Remove(name)
	t := time.Now()
	f, err := os.Create(name)
	if err != nil {
		return 0, api.E("bench", api.NoSpace, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	return float64(len(data)) / mb / time.Since(t).Seconds(), err
}

// firstByte measures how soon a reader on another node has something.
func (s *suite) firstByte(ctx context.Context, a, b *cluster.Node) error {
	var out []float64
	for i := range 4 * s.reps {
		obj, err := putBytes(ctx, a, "one.bin", random(int64(100+i), 1<<20), api.Policy{Copies: 1})
		if err != nil {
			return err
		}
		w := &firstWrite{}
		t := time.Now()
		if err := getInto(ctx, b, obj.Link, w); err != nil {
			return err
		}
		out = append(out, float64(w.at.Sub(t).Microseconds())/1000)
	}
	s.add(Row{Name: "first byte of 1 MiB from another node", Unit: "ms", Target: 5, Less: true}, out)
	return nil
}

// small measures a folder of 1000 files of 4 KiB.
func (s *suite) small(ctx context.Context) error {
	c, stop, err := s.mesh(ctx, "a", reader)
	if err != nil {
		return err
	}
	defer stop()
	const files = 1000
	var puts, gets []float64
	for i := range s.reps {
		body := smallFiles(int64(i), files, 4<<10)
		t := time.Now()
		obj, err := c.Nodes[0].Client.Put(ctx, api.PutRequest{Name: "small", Folder: true, Policy: api.Policy{Copies: 1}}, bytes.NewReader(body), func(api.Progress) {})
		if err != nil {
			return err
		}
		puts = append(puts, files/time.Since(t).Seconds())
		t = time.Now()
		if err := c.Nodes[1].Client.Get(ctx, api.GetRequest{Link: obj.Link, Tar: true}, to(io.Discard)); err != nil {
			return err
		}
		gets = append(gets, files/time.Since(t).Seconds())
	}
	s.add(Row{Name: "put 1000 files of 4 KiB", Unit: "files/s", Target: 3000}, puts)
	s.add(Row{Name: "get 1000 files of 4 KiB from another node", Unit: "files/s", Target: 2000}, gets)
	return nil
}

// jobs measures calls of a method that does nothing.
func (s *suite) jobs(ctx context.Context) error {
	c, stop, err := s.mesh(ctx, "a", "b")
	if err != nil {
		return err
	}
	defer stop()
	a := c.Nodes[0]
	noop := func(node string) error {
		var failed error
		err := a.Client.Run(ctx, api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop", Node: node}, func(j api.Job) error {
			if j.State == api.JobFailed {
				failed = api.Errorf("bench", j.Result.Kind, j.Result.Message)
			}
			return nil
		})
		if err == nil {
			err = failed
		}
		return err
	}
	calls := 400 * s.reps
	if s.opt.Quick {
		calls = 50
	}
	for _, where := range []struct {
		node, name string
		target     float64
	}{{"a", "no-op job, local, p50", 0.3}, {"b", "no-op job, remote, paid, p50", 3}} {
		times := make([]float64, 0, calls)
		for i := range calls + 20 {
			t := time.Now()
			if err := noop(where.node); err != nil {
				return err
			}
			if i >= 20 { // the first ones compile and connect
				times = append(times, float64(time.Since(t).Microseconds())/1000)
			}
		}
		s.add(Row{Name: where.name, Unit: "ms", Target: where.target, Less: true}, times)
		if where.node == "a" { // the same calls against the runtime's own target
			us := make([]float64, len(times))
			for i, t := range times {
				us[i] = t * 1000
			}
			s.add(Row{Name: "warm local call through the API, p50", Unit: "us", Target: 50, Less: true}, us)
		}
	}
	return s.burst(ctx, calls, noop)
}

// burst measures many callers at once, wherever the scheduler sends the jobs.
func (s *suite) burst(_ context.Context, calls int, noop func(string) error) error {
	const callers = 16
	values, err := s.repeat(func(int) (float64, error) {
		var wg sync.WaitGroup
		errs := make(chan error, callers)
		t := time.Now()
		for range callers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range calls / callers {
					if err := noop(""); err != nil {
						errs <- err
						return
					}
				}
			}()
		}
		wg.Wait()
		close(errs)
		return float64(calls/callers*callers) / time.Since(t).Seconds(), <-errs
	})
	if err != nil {
		return err
	}
	s.add(Row{Name: "no-op jobs in a burst of 16 callers", Unit: "jobs/s", Target: 1000}, values)
	return nil
}

// memory moves 4 GiB through two nodes and watches the larger one.
func (s *suite) memory(ctx context.Context) error {
	c, stop, err := s.mesh(ctx, "a", reader)
	if err != nil {
		return err
	}
	defer stop()
	total := int64(4 << 30)
	if s.opt.Quick {
		total = 256 << 20
	}
	watch, cancel := context.WithCancel(ctx)
	peak := make(chan float64)
	go func() {
		var most uint64
		for watch.Err() == nil {
			for _, n := range c.Nodes {
				most = max(most, rss(n.PID()))
			}
			time.Sleep(20 * time.Millisecond)
		}
		peak <- float64(most) / mb
	}()
	obj, err := c.Nodes[0].Client.Put(ctx, api.PutRequest{Name: "big", Policy: api.Policy{Copies: 1}}, &stream{left: total, r: rand.New(rand.NewSource(7))}, func(api.Progress) {})
	if err == nil {
		err = getInto(ctx, c.Nodes[1], obj.Link, io.Discard)
	}
	cancel()
	most := <-peak
	if err != nil {
		return err
	}
	s.add(Row{Name: "resident memory while moving 4 GiB, peak", Unit: "MB", Target: 400, Less: true}, []float64{most})
	return nil
}

// idle measures a node that was left alone in a mesh of three.
func (s *suite) idle(ctx context.Context) error {
	c, stop, err := s.mesh(ctx, "a", "b", "c")
	if err != nil {
		return err
	}
	defer stop()
	rest, span := 5*time.Second, 30*time.Second
	if s.opt.Quick {
		span = 3 * time.Second
	}
	if err := pause(ctx, rest); err != nil {
		return err
	}
	before := cpuTime(c.Nodes[1].PID())
	if err := pause(ctx, span); err != nil {
		return err
	}
	used := cpuTime(c.Nodes[1].PID()) - before
	s.add(Row{Name: "idle: resident memory", Unit: "MB", Target: 60, Less: true}, []float64{float64(rss(c.Nodes[1].PID())) / mb})
	s.add(Row{Name: "idle: share of a core", Unit: "%", Target: 0.2, Less: true}, []float64{100 * used.Seconds() / span.Seconds()})
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rss is a process's resident memory in bytes.
func rss(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(f[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}

// ownRSS is rss of this process, after a collection.
func ownRSS() int64 {
	debug.FreeOSMemory()
	return int64(rss(os.Getpid()))
}

// cpuTime is the time a process has used, user and system.
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on Linux
}

func putBytes(ctx context.Context, n *cluster.Node, name string, data []byte, p api.Policy) (api.Object, error) {
	return n.Client.Put(ctx, api.PutRequest{Name: name, Size: uint64(len(data)), Policy: p}, bytes.NewReader(data), func(api.Progress) {})
}

func getInto(ctx context.Context, n *cluster.Node, link api.Link, w io.Writer) error {
	return n.Client.Get(ctx, api.GetRequest{Link: link}, to(w))
}

func to(w io.Writer) func(api.FileInfo) (io.Writer, error) {
	return func(api.FileInfo) (io.Writer, error) { return w, nil }
}

func random(seed int64, n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(b)
	return b
}

// text writes an access log in the combined format: skewed clients, paths and
// referrers, as a web server would.
func text(seed int64, n int) []byte {
	r := rand.New(rand.NewSource(seed))
	clients, paths := rand.NewZipf(r, 1.2, 8, 1999), rand.NewZipf(r, 1.3, 4, 499)
	agents := []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
		"restic/0.16.4", "curl/8.8.0",
	}
	var b bytes.Buffer
	b.Grow(n + 512)
	for t := time.Unix(1_700_000_000, 0).UTC(); b.Len() < n; t = t.Add(time.Duration(r.Intn(900)) * time.Millisecond) {
		c, p := clients.Uint64(), paths.Uint64()
		fmt.Fprintf(&b, "10.%d.%d.%d - - [%s] \"GET /library/%d/item-%d.html HTTP/1.1\" %d %d \"https://example.org/library/%d/\" \"%s\"\n",
			c%7, c%31, c%251, t.Format("02/Jan/2006:15:04:05 -0700"), p%23, p, []int{200, 200, 200, 200, 304, 404}[r.Intn(6)], 400+r.Intn(60_000), p%23, agents[min(r.Intn(5), r.Intn(5))])
	}
	return b.Bytes()[:n]
}

// smallFiles is a tar stream of n random files.
func smallFiles(seed int64, n, size int) []byte {
	r := rand.New(rand.NewSource(seed))
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	data := make([]byte, size)
	for i := range n {
		r.Read(data)
		_ = tw.WriteHeader(&tar.Header{Name: fmt.Sprintf("f%04d", i), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(size)})
		_, _ = tw.Write(data) // a bytes.Buffer takes everything
	}
	_ = tw.Close()
	return b.Bytes()
}

// stream is random bytes that were never in memory together.
type stream struct {
	left int64
	r    *rand.Rand
}

func (s *stream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), s.left)]
	s.left -= int64(len(p))
	return s.r.Read(p)
}

// compare checks what is written against want.
type compare struct {
	want []byte
	at   int
}

func (c *compare) Write(p []byte) (int, error) {
	if c.at+len(p) > len(c.want) || !bytes.Equal(p, c.want[c.at:c.at+len(p)]) {
		return 0, api.Errorf("bench", api.Corrupt, "the bytes came back changed")
	}
	c.at += len(p)
	return len(p), nil
}

// firstWrite notes when the first byte came.
type firstWrite struct{ at time.Time }

func (f *firstWrite) Write(p []byte) (int, error) {
	if f.at.IsZero() && len(p) > 0 {
		f.at = time.Now()
	}
	return len(p), nil
}
