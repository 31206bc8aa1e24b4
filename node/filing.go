package node

import (
	"encoding/json"
	"sync"
	"time"

	"inos/kernel/api"
)

// Bounds of the history.
const (
	maxHistory  = 100_000 // final jobs remembered; the oldest go first
	historyRoom = 10_000  // jobs beyond it before the oldest are removed, all at once

	maxUnfiled = 1024                  // final jobs in memory; whoever adds one more files them all
	fileDelay  = 10 * time.Millisecond // a final job is on file after this; a crash may take it back, as it may the file
)

// history files final jobs in the metadata, bounded: job/<age><id> holds a job
// in JSON, and jid/<id> its key. A caller does not wait for it: jobs are filed
// some together, soon after, and whoever reads the file flushes first.
//
// Invariant: a final job is in jobDriver.live until it is on file.
type history struct {
	n         *Node
	max, room int

	writing sync.Mutex // held while jobs are written; before mu

	mu       sync.Mutex
	waiting  []api.Job   // guarded by mu; at most maxUnfiled
	timer    *time.Timer // guarded by mu; runs while jobs wait, nil before the first
	count    int         // guarded by mu; on file
	trimming bool        // guarded by mu
}

func openHistory(n *Node) *history {
	h := &history{n: n, max: maxHistory, room: historyRoom}
	_ = n.meta.Iterate("jid/", func(string, []byte) bool { h.count++; return true })
	return h
}

// file keeps a final job's output as an object and hands the job to the history.
func (d *jobDriver) file(j api.Job) {
	d.n.metrics.jobsPaid.Add(1)
	if j.State == api.JobDone && !j.Result.Output.IsZero() {
		if err := d.n.ownOutput(j); err != nil {
			d.n.cfg.Log("output of job %s: %v", j.Spec.ID.Short(), err)
		}
	}
	d.history.add(j)
}

func (h *history) add(j api.Job) {
	h.mu.Lock()
	h.waiting = append(h.waiting, j)
	first, full := len(h.waiting) == 1, len(h.waiting) >= maxUnfiled
	switch {
	case full:
	case first && h.timer == nil:
		h.timer = time.AfterFunc(fileDelay, h.flush)
	case first:
		h.timer.Reset(fileDelay)
	}
	h.mu.Unlock()
	if full {
		h.flush()
	}
}

// flush puts on file what waits.
func (h *history) flush() {
	h.writing.Lock()
	defer h.writing.Unlock()
	h.mu.Lock()
	jobs := h.waiting
	h.waiting = nil
	h.mu.Unlock()
	if len(jobs) == 0 {
		return
	}
	if err := h.write(jobs); err != nil {
		h.n.cfg.Log("history of %d jobs: %v", len(jobs), err)
	}
	h.n.jobs.filed(jobs)
	for i := range jobs {
		h.n.tellJob(&jobs[i])
	}
	h.grown(len(jobs))
}

func (h *history) write(jobs []api.Job) error {
	batch := h.n.meta.m.Batch()
	for i := range jobs {
		b, err := json.Marshal(&jobs[i])
		if err != nil {
			return api.E("node.history", api.Other, err)
		}
		key := jobKey(&jobs[i])
		batch.Set([]byte(key), b)
		batch.Set([]byte("jid/"+string(jobs[i].Spec.ID[:])), []byte(key))
	}
	return batch.CommitLazy()
}

// tellJob appends a final job to the event log.
func (n *Node) tellJob(j *api.Job) {
	n.emit("job:run:v1:"+j.State.String(), j.Spec.ID.String(), struct {
		Method string      `json:"method"`
		Worker api.NodeID  `json:"worker"`
		Gas    uint64      `json:"gas"`
		Price  api.Credits `json:"price"`
		Input  string      `json:"input,omitempty"` // its name
		Reason string      `json:"reason,omitempty"`
	}{j.Method, j.Result.Worker, j.Result.Gas, j.Price, j.Name, j.Result.Message})
}

// filed forgets jobs that are on file.
func (d *jobDriver) filed(jobs []api.Job) {
	d.table.Lock()
	defer d.table.Unlock()
	for i := range jobs {
		delete(d.live, jobs[i].Spec.ID)
	}
}

// grown counts jobs and removes the oldest in the background when there are
// too many.
func (h *history) grown(by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count += by
	if h.count <= h.max+h.room || h.trimming {
		return
	}
	h.trimming = true
	h.n.spawn(h.trim)
}
