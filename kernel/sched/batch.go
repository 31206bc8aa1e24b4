package sched

import "inos/kernel/api"

// batch is jobs that were submitted together.
//
// Invariant: every job of the batch that is neither placed nor final is in
// retry or in queue[head:]. Those lists may also hold final jobs, which are
// skipped.
type batch struct {
	id     api.ID
	class  int // of its jobs' priority
	queue  []*job
	head   int
	retry  []*job // tried before; go first
	left   int    // jobs not final
	done   int
	failed int
	stop   int
	inRing bool
	stuck  int64   // since when no suitable worker is online; 0 when one is
	meanMS float64 // of run times; 0 before the first
	timer  timer
}

// job is one job that is not final.
type job struct {
	Job
	batch    *batch
	serial   uint64 // order of submission
	state    api.JobState
	final    bool
	failures int
	skips    int          // times another was placed first
	nodes    []api.NodeID // of all attempts; attempt n is nodes[n-1]
	worker   *worker      // of the current attempt; nil while waiting
	escrow   *escrow      // of the current attempt; nil when free
	running  bool         // dispatched
	freeOnly bool         // the account cannot pay: only free workers come into question
	denied   []api.NodeID // workers that will not run it, whatever the time; at most maxAttempts
	deniedBy string       // what the last of them said
	lastKind api.Kind     // of the last failed attempt
	lastText string
	timer    timer // the earlier of the job's deadline and the attempt's end
	attempt  int64 // when the current attempt counts as lost; 0 while not dispatched
}

func (j *job) attempts() uint8 { return uint8(len(j.nodes)) }

func (m *Machine) submit(ev Submit) {
	if err := m.admit(ev); err != nil {
		m.emit(Refused{Batch: ev.Batch, Err: err})
		return
	}
	b := &batch{id: ev.Batch, class: ev.Jobs[0].Spec.Priority.Class(), queue: make([]*job, 0, len(ev.Jobs)), left: len(ev.Jobs)}
	b.timer.due = func(int64) { m.changed = true } // the Step that runs it looks at the ring
	m.batches[b.id] = b
	for i := range ev.Jobs {
		m.serial++
		j := &job{Job: ev.Jobs[i], batch: b, serial: m.serial}
		j.Spec.Limits = j.Spec.Limits.WithDefaults()
		j.Holders = j.Holders[:min(len(j.Holders), MaxHolders)]
		j.timer.due = func(int64) { m.jobDue(j) }
		m.jobs[j.Spec.ID] = j
		b.queue = append(b.queue, j)
		m.armJob(j)
	}
	m.enring(b)
}

func (m *Machine) admit(ev Submit) error {
	const op = "sched.submit"
	if len(ev.Jobs) == 0 || len(ev.Jobs) > api.MaxBatchJobs {
		return api.Errorf(op, api.Invalid, "a batch has 1 to 100000 jobs")
	}
	if len(m.jobs)+len(ev.Jobs) > m.cfg.MaxJobs {
		return api.Errorf(op, api.Exhausted, "too many jobs are waiting; submit again when some are done")
	}
	if _, ok := m.batches[ev.Batch]; ok {
		return api.Errorf(op, api.Exists, "a batch with this id is running")
	}
	seen := make(map[api.ID]struct{}, len(ev.Jobs))
	for i := range ev.Jobs {
		s := &ev.Jobs[i].Spec
		_, running := m.jobs[s.ID]
		_, twice := seen[s.ID]
		if running || twice {
			return api.Errorf(op, api.Exists, "a job with this id is running")
		}
		if s.ID.IsZero() || s.PriceCap < 0 || s.Deadline < 0 {
			return api.Errorf(op, api.Invalid, "a job needs an id, and its price cap and deadline are not negative")
		}
		if !s.Priority.Valid() || s.Priority != ev.Jobs[0].Spec.Priority {
			return api.Errorf(op, api.Invalid, "the jobs of a batch have one priority: low, normal or high")
		}
		seen[s.ID] = struct{}{}
	}
	return nil
}

func (m *Machine) enring(b *batch) {
	if !b.inRing {
		b.inRing = true
		r := &m.rings[b.class]
		r.list = append(r.list, b)
	}
}

// waiting returns the i-th waiting job, or nil. It drops final jobs from the
// front.
func (b *batch) waiting(i int) *job {
	for len(b.retry) > 0 && b.retry[0].final {
		b.retry = b.retry[1:]
	}
	for b.head < len(b.queue) && b.queue[b.head].final {
		b.queue[b.head] = nil
		b.head++
	}
	if i < len(b.retry) {
		return b.retry[i]
	}
	if i += b.head - len(b.retry); i < len(b.queue) {
		return b.queue[i]
	}
	return nil
}

// take removes the i-th waiting job by moving those before it up, so that order
// is kept. i is below lookahead.
func (b *batch) take(i int) {
	if i < len(b.retry) {
		copy(b.retry[1:i+1], b.retry[:i])
		b.retry[0] = nil
		b.retry = b.retry[1:]
		return
	}
	i += b.head - len(b.retry)
	copy(b.queue[b.head+1:i+1], b.queue[b.head:i])
	b.queue[b.head] = nil
	b.head++
}

// end makes a job final. Its escrow has been dealt with.
func (m *Machine) end(j *job, change JobChanged) {
	m.disarm(&j.timer)
	m.release(j)
	j.final = true
	delete(m.jobs, j.Spec.ID)
	change.Job, change.Batch, change.Attempts = j.Spec.ID, j.batch.id, j.attempts()
	m.emit(change)
	b := j.batch
	switch change.State {
	case api.JobDone:
		b.done++
	case api.JobStopped:
		b.stop++
	default:
		b.failed++
	}
	if b.left--; b.left > 0 {
		return
	}
	m.disarm(&b.timer)
	delete(m.batches, b.id)
	m.emit(BatchDone{Batch: b.id, Done: b.done, Failed: b.failed, Stopped: b.stop})
}

// fail ends a job that did not reach a result.
func (m *Machine) fail(j *job, kind api.Kind, message string) {
	m.abandon(j, true)
	m.end(j, JobChanged{State: api.JobFailed, Kind: kind, Message: message})
}

func (m *Machine) cancel(ev Cancel) {
	if !ev.Job.IsZero() {
		if j := m.jobs[ev.Job]; j != nil {
			m.stopJob(j)
		}
		return
	}
	b := m.batches[ev.Batch]
	if b == nil {
		return
	}
	all := make([]*job, 0, b.left)
	for _, j := range m.jobs {
		if j.batch == b {
			all = append(all, j)
		}
	}
	sortJobs(all)
	for _, j := range all {
		m.stopJob(j)
	}
}

func (m *Machine) stopJob(j *job) {
	m.abandon(j, true)
	m.end(j, JobChanged{State: api.JobStopped, Kind: api.Canceled, Message: "stopped on request"})
}

// armJob sets the job's timer to whatever comes first.
func (m *Machine) armJob(j *job) {
	at := j.Spec.Deadline
	if j.attempt > 0 && (at == 0 || j.attempt < at) {
		at = j.attempt
	}
	if at == 0 {
		m.disarm(&j.timer)
		return
	}
	m.arm(&j.timer, at)
}

func (m *Machine) jobDue(j *job) {
	switch {
	case j.final:
	case j.Spec.Deadline > 0 && j.Spec.Deadline <= m.now:
		m.fail(j, api.Timeout, "the deadline passed before the job was done")
	default:
		m.tellStop(j)
		m.suspect(j.worker)
		m.again(j, api.Unavailable, "the worker did not answer in time")
	}
}
