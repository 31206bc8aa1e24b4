package arena

import (
	"sync"
	"sync/atomic"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// MetricKind tells counters from gauges.
type MetricKind uint8

// The kinds, as stored.
const (
	CounterMetric MetricKind = 1 + iota // only rises; a uint64
	GaugeMetric                         // a level; an int64
)

// String returns "counter" or "gauge", as Prometheus names them.
func (k MetricKind) String() string {
	switch k {
	case CounterMetric:
		return "counter"
	case GaugeMetric:
		return "gauge"
	default:
		return "unknown"
	}
}

// Bounds of the table.
const (
	MaxMetrics    = layout.MetricsCount
	MaxMetricName = layout.MetricSlotNameBytes
)

// overflowMetric holds what is added to counters that found no slot.
const overflowMetric = "inos_metrics_overflow_total"

// Metrics is the arena's table of named numbers: at most MaxMetrics. A name may
// carry labels in Prometheus notation, such as `inos_bytes_total{dir="in"}`.
//
// Invariants:
//   - A slot, once named, keeps its name and kind for the arena's life, and with
//     it its value across owners.
//   - The slots with a name come first; slot 0 is overflowMetric.
//   - The names this process relies on are in its own memory; only values are
//     read from the arena.
type Metrics struct {
	mem  []byte
	cell *epoch.Cell // advances when a metric is registered

	mu     sync.RWMutex
	byName map[string]int // mu: index in list
	list   []metric       // mu: in order of slots
}

type metric struct {
	name  string
	kind  MetricKind
	value *atomic.Uint64
}

func openMetrics(mem []byte, cell *epoch.Cell) *Metrics {
	m := &Metrics{mem: mem, cell: cell, byName: make(map[string]int)}
	for len(m.list) < MaxMetrics {
		slot := m.slot(len(m.list))
		kind := MetricKind(layout.U32(slot, layout.MetricSlotAtKind).Load())
		name := text(slot[layout.MetricSlotAtName:], layout.U32(slot, layout.MetricSlotAtNameLength).Load())
		if _, twice := m.byName[name]; twice || name == "" || kind != CounterMetric && kind != GaugeMetric {
			break // the end of the table, or damage: later slots are made anew
		}
		m.note(name, kind, slot)
	}
	if len(m.list) == 0 {
		m.register(overflowMetric, CounterMetric)
	}
	return m
}

func (m *Metrics) slot(i int) []byte {
	at := i * layout.MetricsStride
	return m.mem[at : at+layout.MetricSlotSize : at+layout.MetricSlotSize]
}

func (m *Metrics) note(name string, kind MetricKind, slot []byte) metric {
	e := metric{name, kind, layout.U64(slot, layout.MetricSlotAtValue)}
	m.byName[name] = len(m.list)
	m.list = append(m.list, e)
	return e
}

// register names the next slot. The caller holds mu or is alone.
func (m *Metrics) register(name string, kind MetricKind) metric {
	slot := m.slot(len(m.list))
	layout.U64(slot, layout.MetricSlotAtValue).Store(0)
	copy(slot[layout.MetricSlotAtName:], name)
	layout.U32(slot, layout.MetricSlotAtNameLength).Store(uint32(len(name)))
	// Sync point: releases the name to readers that see the kind.
	layout.U32(slot, layout.MetricSlotAtKind).Store(uint32(kind))
	m.cell.Advance()
	return m.note(name, kind, slot)
}

// find returns the metric, registering it if need be; false if it has no slot.
func (m *Metrics) find(name string, kind MetricKind) (metric, bool) {
	m.mu.RLock()
	i, ok := m.byName[name]
	if ok {
		e := m.list[i]
		m.mu.RUnlock()
		return e, e.kind == kind
	}
	m.mu.RUnlock()
	if name == "" || len(name) > MaxMetricName {
		return metric{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if i, ok := m.byName[name]; ok { // registered meanwhile
		return m.list[i], m.list[i].kind == kind
	}
	if len(m.list) == MaxMetrics {
		return metric{}, false
	}
	return m.register(name, kind), true
}

// Counter returns the counter called name, at its present value, making it on
// first use. Keep the result: it is made for use on hot paths, the lookup is
// not. When the table is full, or the name is empty, longer than MaxMetricName
// or a gauge's, the result counts into inos_metrics_overflow_total instead.
func (m *Metrics) Counter(name string) *Counter {
	e, ok := m.find(name, CounterMetric)
	if !ok {
		m.mu.RLock()
		e = m.list[0]
		m.mu.RUnlock()
	}
	return &Counter{e.value}
}

// Gauge is Counter for a level that rises and falls. Without a slot the result
// works but is seen by nobody.
func (m *Metrics) Gauge(name string) *Gauge {
	e, ok := m.find(name, GaugeMetric)
	if !ok {
		return &Gauge{new(atomic.Uint64)}
	}
	return &Gauge{e.value}
}

// Each calls fn for every metric in order of registration until it returns
// false. A gauge's value is the bits of an int64. fn may call Metrics' methods.
func (m *Metrics) Each(fn func(name string, kind MetricKind, value uint64) bool) {
	m.mu.RLock()
	list := m.list // only ever appended to
	m.mu.RUnlock()
	for _, e := range list {
		if !fn(e.name, e.kind, e.value.Load()) {
			return
		}
	}
}

// Value returns the value of the metric called name, or NotFound.
func (m *Metrics) Value(name string) (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i, ok := m.byName[name]
	if !ok {
		return 0, api.Errorf("arena.metric", api.NotFound, "no metric has this name")
	}
	return m.list[i].value.Load(), nil
}

// Counter is a number that only rises. Its methods are single atomic
// operations and safe for concurrent use.
type Counter struct{ v *atomic.Uint64 }

// Add raises the counter by n.
func (c *Counter) Add(n uint64) { c.v.Add(n) }

// Load returns the count.
func (c *Counter) Load() uint64 { return c.v.Load() }

// Gauge is a level that rises and falls. Its methods are single atomic
// operations and safe for concurrent use.
type Gauge struct{ v *atomic.Uint64 }

// Set makes n the level.
func (g *Gauge) Set(n int64) { g.v.Store(uint64(n)) }

// Add raises the level by n, which may be negative.
func (g *Gauge) Add(n int64) { g.v.Add(uint64(n)) }

// Load returns the level.
func (g *Gauge) Load() int64 { return int64(g.v.Load()) }
