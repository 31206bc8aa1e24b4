package arena

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"

	"inos/kernel/api"
	"inos/kernel/layout"
)

func TestMetricsKeepTheirNamesAndValues(t *testing.T) {
	a, _ := newArena(t)
	m := a.Metrics()
	m.Counter("b_total").Add(2)
	m.Counter("b_total").Add(3)
	m.Gauge("level").Set(-5)
	m.Gauge("level").Add(-2)
	if v := m.Counter("b_total").Load(); v != 5 {
		t.Fatal(v)
	}
	if v := m.Gauge("level").Load(); v != -7 {
		t.Fatal(v)
	}
	var got []string
	m.Each(func(name string, kind MetricKind, value uint64) bool {
		got = append(got, fmt.Sprintf("%s %s %d", kind, name, int64(value)))
		return true
	})
	if s := strings.Join(got, "; "); s != "counter inos_metrics_overflow_total 0; counter b_total 5; gauge level -7" {
		t.Fatal(s)
	}
	if _, err := m.Value("nothing"); api.KindOf(err) != api.NotFound {
		t.Fatal(err)
	}
	if v, err := m.Value("b_total"); v != 5 || err != nil {
		t.Fatal(v, err)
	}
}

func TestMetricsWithoutASlotCountAsOverflow(t *testing.T) {
	a, _ := newArena(t)
	m := a.Metrics()
	m.Gauge("level").Set(1)
	for _, name := range []string{"", strings.Repeat("x", MaxMetricName+1), "level"} {
		m.Counter(name).Add(1)
	}
	for i := range MaxMetrics {
		m.Counter(fmt.Sprint("c", i)).Add(1)
		m.Gauge(fmt.Sprint("g", i)).Add(1)
	}
	if over, _ := m.Value(overflowMetric); over <= 3 {
		t.Fatal(over)
	}
	if m.Gauge("level").Load() != 1 {
		t.Fatal("an overflow reached another metric")
	}
}

func TestMetricsAreSafeForConcurrentUse(t *testing.T) {
	a, _ := newArena(t)
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			for i := range 500 {
				a.Metrics().Counter(fmt.Sprint("c", i%7)).Add(1)
				a.Metrics().Each(func(string, MetricKind, uint64) bool { return i%50 == 0 })
			}
		})
	}
	done.Wait()
	sum := uint64(0)
	a.Metrics().Each(func(_ string, _ MetricKind, v uint64) bool { sum += v; return true })
	if sum != 2000 {
		t.Fatal(sum)
	}
}

func TestCountersAllocateNothing(t *testing.T) {
	a, _ := newArena(t)
	c := a.Metrics().Counter("c")
	if n := testing.AllocsPerRun(100, func() { c.Add(1) }); n != 0 {
		t.Fatal(n)
	}
}

func jobID(n int) api.ID { return api.ID{byte(n >> 16), byte(n >> 8), byte(n), 1} }

func TestAJobEntrySurvivesTheTable(t *testing.T) {
	a, _ := newArena(t)
	e := JobEntry{
		ID: jobID(1), Batch: jobID(2), Payer: api.NodeID{3}, Worker: api.NodeID{4}, Method: "compute/image.thumbnail",
		Name: "übung.png", State: api.JobFailed, Kind: api.Trapped, Attempts: 2, Gas: 1 << 60, Price: -5,
		Submitted: 6, Started: 7, Finished: 8, RunUS: 9, OutputBytes: 10,
	}
	seen := a.Jobs().Epoch().Load()
	if err := a.Jobs().Put(e); err != nil {
		t.Fatal(err)
	}
	if a.Jobs().Epoch().Load() == seen {
		t.Fatal("the epoch did not advance")
	}
	if got, ok := a.Jobs().Get(e.ID); !ok || got != e {
		t.Fatalf("got %+v", got)
	}
	if err := a.Jobs().Update(e.ID, func(e *JobEntry) { e.Gas = 1; e.ID = api.ID{} }); err != nil {
		t.Fatal(err)
	}
	e.Gas = 1
	if got := a.Jobs().Recent(5); len(got) != 1 || got[0] != e {
		t.Fatalf("got %+v", got)
	}
	want(t, a.Jobs().Update(jobID(9), func(*JobEntry) {}), api.NotFound)
	want(t, a.Jobs().Put(JobEntry{}), api.Invalid)
	long := JobEntry{ID: jobID(3), Name: strings.Repeat("ü", 100), Method: strings.Repeat("m", 200)}
	_ = a.Jobs().Put(long)
	got, _ := a.Jobs().Get(long.ID)
	if got.Name != strings.Repeat("ü", layout.JobSlotNameBytes/2) || len(got.Method) != layout.JobSlotMethodBytes {
		t.Fatalf("cut to %q and %q", got.Name, got.Method)
	}
}

func TestANewJobReplacesTheOldestFinishedOne(t *testing.T) {
	a, _ := newArena(t)
	j := a.Jobs()
	for i := range MaxJobs {
		state := api.JobRunning
		if i == 5 || i == 9 {
			state = api.JobDone
		}
		if err := j.Put(JobEntry{ID: jobID(i), State: state}); err != nil {
			t.Fatal(err)
		}
	}
	for _, gone := range []int{5, 9} {
		if err := j.Put(JobEntry{ID: jobID(MaxJobs + gone)}); err != nil {
			t.Fatal(err)
		}
		if _, ok := j.Get(jobID(gone)); ok {
			t.Fatalf("job %d is still there", gone)
		}
	}
	want(t, j.Put(JobEntry{ID: jobID(MaxJobs + 99)}), api.Exhausted)
	if err := j.Update(jobID(7), func(e *JobEntry) { e.State = api.JobStopped }); err != nil {
		t.Fatal(err)
	}
	if err := j.Put(JobEntry{ID: jobID(MaxJobs + 100)}); err != nil {
		t.Fatal(err)
	}
	recent := j.Recent(3)
	for i, id := range []int{MaxJobs + 100, MaxJobs + 9, MaxJobs + 5} {
		if recent[i].ID != jobID(id) {
			t.Fatalf("recent %d is %v", i, recent[i].ID)
		}
	}
	if j.Len() != MaxJobs || j.active != MaxJobs {
		t.Fatal(j.Len(), j.active)
	}
	if err := j.Put(JobEntry{ID: jobID(7777), State: api.JobDone}); err == nil {
		t.Fatal("a finished job displaced a running one")
	}
}

// However jobs come and change, the table knows how many have not finished, and
// the next owner comes to the same count.
func TestJobsKeepCountOfTheUnfinished(t *testing.T) {
	a, b := newArena(t)
	r := rand.New(rand.NewSource(1))
	for range 20_000 {
		e := JobEntry{ID: jobID(r.Intn(6000)), State: api.JobState(r.Intn(int(api.JobStopped) + 1))}
		if err := a.Jobs().Put(e); err != nil && api.KindOf(err) != api.Exhausted {
			t.Fatal(err)
		}
	}
	active := 0
	for _, e := range a.Jobs().Recent(MaxJobs) {
		if !e.State.Final() {
			active++
		}
	}
	next, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := []int{a.jobs.active, next.jobs.active}; got[0] != active || got[1] != active {
		t.Fatalf("counted %v, there are %d", got, active)
	}
	if before, after := a.Jobs().Recent(MaxJobs), next.Jobs().Recent(MaxJobs); !slices.Equal(before, after) {
		t.Fatal("the next owner lists other jobs")
	}
}

// A reader of the raw slot, as in another process, never sees half of an update.
func TestJobSlotsAreNeverTorn(t *testing.T) {
	a, b := newArena(t)
	id := jobID(1)
	if err := a.Jobs().Put(JobEntry{ID: id}); err != nil {
		t.Fatal(err)
	}
	words := layout.Words(b[layout.JobsOffset:][:layout.JobSlotSize])
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for n := uint64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
				_ = a.Jobs().Update(id, func(e *JobEntry) { e.Gas, e.OutputBytes, e.RunUS = n, n, n })
			}
		}
	})
	for range 20_000 {
		if e, _, ok := readJob(words); ok && (e.Gas != e.RunUS || e.Gas != e.OutputBytes) {
			t.Fatalf("torn: %+v", e)
		}
	}
	close(stop)
	done.Wait()
}

func BenchmarkCounter(b *testing.B) {
	a, _ := newArena(b)
	c := a.Metrics().Counter("c")
	b.ReportAllocs()
	for b.Loop() {
		c.Add(1)
	}
}

func BenchmarkJobUpdate(b *testing.B) {
	a, _ := newArena(b)
	id := jobID(1)
	_ = a.Jobs().Put(JobEntry{ID: id, Method: "compute/hash.blake3", Name: "file.txt"})
	b.ReportAllocs()
	for b.Loop() {
		_ = a.Jobs().Update(id, func(e *JobEntry) { e.Gas++ })
	}
}
