package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
)

// memory is the node's arena: counters, recent jobs, the event log and named
// states live in shared memory, where attached processes read them.
type memory struct {
	region *arenaRegion
	arena  *arena.Arena
	work   *workState
	lender *arenaLender // nil where other processes cannot attach
	socket string       // of the lender
}

func openMemory(size int) (*memory, error) {
	tier, err := layout.TierOf(uint64(size))
	if err != nil {
		return nil, err
	}
	region, err := openRegion(uint64(size))
	if err != nil {
		return nil, err
	}
	a, err := arena.Format(region.Bytes(), tier, arena.Shared(region.waker()))
	if err != nil {
		_ = region.Close()
		return nil, err
	}
	m := &memory{region: region, arena: a}
	if m.work, err = openWorkState(a); err != nil {
		_ = region.Close()
		return nil, err
	}
	return m, nil
}

func (m *memory) close() error {
	err := m.stopLending()
	m.arena.Close()
	return errors.Join(err, m.region.Close())
}

// noteJob shows a job's state in the arena. The table is a view: when it is
// full of running jobs a new one is not shown.
func (m *memory) noteJob(j api.Job) {
	_ = m.arena.Jobs().Put(arena.EntryOf(j))
	m.work.note(j)
}

// emit appends an event to the log. data is turned into JSON.
func (n *Node) emit(kind, subject string, data any) {
	payload := struct {
		Subject string `json:"subject,omitempty"`
		Data    any    `json:"data,omitempty"`
	}{subject, data}
	b, err := json.Marshal(payload)
	if err == nil {
		_, err = n.memory.arena.Events().Append(time.Now().UnixMicro(), kind, b)
	}
	if err != nil && n.ctx.Err() == nil {
		n.cfg.Log("event %s: %v", kind, err)
	}
}

// Events sends what the log remembers after position since, then new events as
// they happen.
func (n *Node) Events(ctx context.Context, since uint64, fn func(api.Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	r := n.memory.arena.Events().After(since)
	for first := true; ; first = false {
		e, err := r.Next(ctx)
		if err != nil {
			return err
		}
		if e.Missed > 0 && !first {
			return api.Errorf("node.events", api.Exhausted, fmt.Sprintf("%d events were missed; read faster, or begin again from event %d", e.Missed, e.Seq))
		}
		var payload struct {
			Subject string          `json:"subject"`
			Data    json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(e.Data, &payload); err != nil {
			return api.E("node.events", api.Corrupt, err)
		}
		ev := api.Event{
			SpecVersion: api.EventVersion, ID: fmt.Sprint(e.Seq), Source: n.id.ID().String(), Type: e.Type,
			Subject: payload.Subject, Time: time.UnixMicro(e.Time).UTC(), Data: payload.Data,
		}
		if payload.Data != nil {
			ev.ContentType = "application/json"
		}
		if err := fn(ev); err != nil {
			return err
		}
	}
}

// metrics are the node's counters in the arena.
type metrics struct {
	puts, putsFailed, gets         *arena.Counter
	storedBytes, servedBytes       *arena.Counter
	storeFailed, localBad          *arena.Counter
	jobsDone, jobsFailed, jobsPaid *arena.Counter
	jobsTurned                     *arena.Counter // refused by their module's supervisor
	gas                            *arena.Counter
	joinsRefused, peerFaults       *arena.Counter
	leases, leasesRefused          *arena.Counter
	leasesEnded, leaseBytes        *arena.Counter
	paymentsRefused                *arena.Counter
	paymentsFailed                 *arena.Counter // could not even be written down
	messagesDone, messagesFailed   *arena.Counter // handed to modules here
	repairBlocks, objects          *arena.Gauge
	quarantined                    *arena.Gauge // modules
}

func newMetrics(m *memory) *metrics {
	t := m.arena.Metrics()
	return &metrics{
		puts: t.Counter("inos_puts_total"), putsFailed: t.Counter("inos_puts_failed_total"), gets: t.Counter("inos_gets_total"),
		storedBytes: t.Counter("inos_stored_bytes_total"), servedBytes: t.Counter("inos_served_bytes_total"),
		storeFailed: t.Counter("inos_stores_failed_total"), localBad: t.Counter("inos_local_blocks_bad_total"),
		jobsDone: t.Counter("inos_jobs_done_total"), jobsFailed: t.Counter("inos_jobs_failed_total"), jobsPaid: t.Counter("inos_jobs_final_total"),
		jobsTurned:   t.Counter("inos_jobs_turned_away_total"),
		gas:          t.Counter("inos_gas_total"),
		joinsRefused: t.Counter("inos_joins_refused_total"), peerFaults: t.Counter("inos_peer_faults_total"),
		leases: t.Counter("inos_leases_total"), leasesRefused: t.Counter("inos_leases_refused_total"),
		leasesEnded: t.Counter("inos_leases_ended_total"), leaseBytes: t.Counter("inos_leases_reclaimed_bytes_total"),
		paymentsRefused: t.Counter("inos_payments_refused_total"), paymentsFailed: t.Counter("inos_payments_failed_total"),
		messagesDone: t.Counter("inos_messages_delivered_total"), messagesFailed: t.Counter("inos_messages_failed_total"),
		repairBlocks: t.Gauge("inos_repair_blocks"), objects: t.Gauge("inos_objects"),
		quarantined: t.Gauge("inos_modules_quarantined"),
	}
}

// Metrics writes the arena's table and what other components count, in the
// Prometheus text format: names that differ in their labels alone stand together.
func (n *Node) Metrics(_ context.Context, w io.Writer) error {
	var families []string
	lines := map[string][]byte{}
	line := func(name, kind string, value any) {
		family, _, _ := strings.Cut(name, "{")
		b, known := lines[family]
		if !known {
			families = append(families, family)
			b = fmt.Appendf(b, "# TYPE %s %s\n", family, kind)
		}
		lines[family] = fmt.Appendf(b, "%s %v\n", name, value)
	}
	n.memory.arena.Metrics().Each(func(name string, kind arena.MetricKind, value uint64) bool {
		if kind == arena.GaugeMetric {
			line(name, kind.String(), int64(value))
		} else {
			line(name, kind.String(), value)
		}
		return true
	})
	n.heapMetrics(line)
	u, s := n.store.Usage(), n.net.Stats()
	line("inos_store_blocks", "gauge", u.Blocks)
	line("inos_store_bytes", "gauge", u.Bytes)
	line("inos_store_free_bytes", "gauge", u.Free)
	line("inos_store_quarantined", "gauge", u.Quarantined)
	line("inos_peers", "gauge", s.Peers)
	line("inos_peers_refused_total", "counter", s.Refused)
	line("inos_peers_bad_total", "counter", s.BadPeers)
	line("inos_same_key_total", "counter", s.SameKey)
	line("inos_resident_bytes", "gauge", residentBytes())
	for _, f := range families {
		if _, err := w.Write(lines[f]); err != nil {
			return err
		}
	}
	return nil
}
