package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"

	"inos/cluster"
	"inos/kernel/api"
)

// Options say what to measure and where to put it.
type Options struct {
	Exe     string    // the inos binary
	Record  string    // folder for a JSON record of the run; empty records nothing
	Only    string    // a row is measured if its name contains this
	Quick   bool      // one repetition and smaller amounts, to try the machinery
	JSON    bool      // print the record instead of the table
	Command string    // how the run was started, for the record
	Out     io.Writer // the table
	Log     io.Writer // progress
}

// Row is one figure.
type Row struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Value  float64 `json:"value"` // median
	Target float64 `json:"target"`
	Less   bool    `json:"less"` // smaller is better
	Runs   int     `json:"runs"` // repetitions the median is of
	Peers  []Peer  `json:"peers,omitempty"`
}

// Peer is what another system did in the same run.
type Peer struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Met reports whether the target was reached.
func (r Row) Met() bool {
	if r.Less {
		return r.Value <= r.Target
	}
	return r.Value >= r.Target
}

// Of is how many times as good as the target the figure is.
func (r Row) Of() float64 {
	if r.Value == 0 || r.Target == 0 {
		return 0
	}
	if r.Less {
		return r.Target / r.Value
	}
	return r.Value / r.Target
}

// Record is a run.
type Record struct {
	Time    time.Time `json:"time"`
	Command string    `json:"command"`
	Machine Machine   `json:"machine"`
	Rows    []Row     `json:"rows"`
}

// Machine is where a run was measured.
type Machine struct {
	OS     string `json:"os"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory uint64 `json:"memory"` // bytes
	Go     string `json:"go"`
}

// suite is one run of all measurements.
type suite struct {
	opt  Options
	dir  string
	rows []Row
	reps int
}

// Run measures everything and prints the table. It fails only when the
// machinery does; a missed target is a row that says so.
func Run(ctx context.Context, opt Options) error {
	dir, err := os.MkdirTemp("", "inos-bench-")
	if err != nil {
		return api.E("bench", api.NoSpace, err)
	}
	defer os.RemoveAll(dir)
	s := &suite{opt: opt, dir: dir, reps: 5}
	if opt.Quick {
		s.reps = 1
	}
	for _, part := range []struct {
		name string
		fn   func(context.Context) error
	}{
		{"start", s.start}, {"storage", s.storage}, {"small", s.small}, {"jobs", s.jobs}, {"syscalls", s.syscalls}, {"shared memory", s.shared}, {"engine", s.engine}, {"wasmtime", s.engines}, {"memory", s.memory}, {"idle", s.idle}, {"peers", s.peers},
	} {
		if opt.Only != "" && !strings.Contains(part.name, opt.Only) {
			continue
		}
		fmt.Fprintf(opt.Log, "bench: %s\n", part.name)
		if err := part.fn(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	rec := Record{Time: time.Now().UTC(), Command: opt.Command, Machine: machine(), Rows: s.rows}
	if opt.Record != "" {
		if err := rec.save(opt.Record); err != nil {
			return err
		}
	}
	if opt.JSON {
		return json.NewEncoder(opt.Out).Encode(rec)
	}
	rec.table(opt.Out)
	return nil
}

// reader is the name of a node that keeps no blocks, so that all it reads comes
// from another node.
const reader = "reader"

// mesh starts nodes for one part; stop ends them and removes their data.
func (s *suite) mesh(ctx context.Context, names ...string) (c *cluster.Cluster, stop func(), err error) {
	return s.meshWith(ctx, nil, names...)
}

// meshWith is mesh with flags for every node.
func (s *suite) meshWith(ctx context.Context, flags []string, names ...string) (c *cluster.Cluster, stop func(), err error) {
	dir, err := os.MkdirTemp(s.dir, "mesh-")
	if err != nil {
		return nil, nil, err
	}
	c = &cluster.Cluster{Exe: s.opt.Exe, Dir: dir, Flags: flags}
	stop = func() { c.Stop(); _ = os.RemoveAll(dir) }
	for _, n := range names {
		roles := api.Hub
		if n == reader {
			roles = api.Edge
		}
		if _, err := c.EnterAs(ctx, n, roles); err != nil {
			stop()
			return nil, nil, err
		}
	}
	if err := c.Together(ctx); err != nil {
		stop()
		return nil, nil, err
	}
	return c, stop, nil
}

// add appends a row with the median of values.
func (s *suite) add(r Row, values []float64) {
	r.Value, r.Runs = median(values), len(values)
	s.rows = append(s.rows, r)
	fmt.Fprintf(s.opt.Log, "  %-44s %10s %s\n", r.Name, figure(r.Value), r.Unit)
}

// repeat collects reps values.
func (s *suite) repeat(fn func(i int) (float64, error)) ([]float64, error) {
	out := make([]float64, 0, s.reps)
	for i := range s.reps {
		v, err := fn(i)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sorted := append([]float64(nil), v...)
	sort.Float64s(sorted)
	return sorted[len(sorted)/2]
}

func machine() Machine {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for _, line := range strings.Split(string(b), "\n") {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				m.CPU = strings.TrimSpace(v)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib uint64
		if _, err := fmt.Sscanf(string(b), "MemTotal: %d kB", &kib); err == nil {
			m.Memory = kib << 10
		}
	}
	return m
}

func (rec Record) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return api.E("bench.record", api.NoSpace, err)
	}
	b, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return api.E("bench.record", api.Other, err)
	}
	name := filepath.Join(dir, rec.Time.Format("2006-01-02T150405Z")+".json")
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

func (rec Record) table(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %d cores, %d GiB, Linux %s, %s\n\n", rec.Machine.CPU, rec.Machine.Cores, rec.Machine.Memory>>30, rec.Machine.Kernel, rec.Machine.Go)
	fmt.Fprintf(w, "| %-44s | %10s | %-7s | %10s | %8s | %s\n", "figure", "measured", "unit", "target", "reached", "peer |")
	fmt.Fprintf(w, "| %s | ---: | --- | ---: | ---: | --- |\n", strings.Repeat("-", 44))
	for _, r := range rec.Rows {
		target, reached, peer := "", "", ""
		if r.Target != 0 {
			target = figure(r.Target)
			if reached = "yes"; !r.Met() {
				reached = fmt.Sprintf("no, %.2f", r.Of())
			}
		}
		for _, p := range r.Peers {
			ratio := r.Value / p.Value
			if r.Less {
				ratio = p.Value / r.Value
			}
			peer += fmt.Sprintf("%s %s (%.1f times) ", p.Name, figure(p.Value), ratio)
		}
		fmt.Fprintf(w, "| %-44s | %10s | %-7s | %10s | %8s | %s |\n", r.Name, figure(r.Value), r.Unit, target, reached, peer)
	}
}

// figure renders three significant digits.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
