package sched

import (
	"inos/kernel/api"
	"inos/kernel/wire"
)

// start places a job on a worker. Free work is dispatched at once, other work
// when its escrow is open.
func (m *Machine) start(j *job, w *worker) {
	j.worker = w
	w.jobs[j] = struct{}{}
	j.nodes = append(j.nodes, w.node)
	if m.free(w) {
		m.dispatch(j)
		return
	}
	bound, _ := m.bound(j, w) // suits has checked it
	j.state = api.JobQuoted
	m.emit(JobChanged{Job: j.Spec.ID, Batch: j.batch.id, State: j.state, Node: w.node, Attempts: j.attempts(), Price: bound})
	m.openEscrow(j, bound)
}

// allowance is how long an attempt may take: its turn behind the jobs before it,
// each for at most its wall time, and the slack.
func (m *Machine) allowance(j *job) int64 {
	turns := 1 + (len(j.worker.jobs)+j.worker.others)/max(1, j.worker.workers)
	return int64(j.Spec.Limits.WallMS)*int64(turns) + m.cfg.Slack
}

func (m *Machine) dispatch(j *job) {
	d := Dispatch{To: j.worker.node, Attempt: j.attempts(), Spec: j.Spec}
	if j.escrow != nil {
		d.Escrow = j.escrow.Escrow
	}
	j.running, j.state = true, api.JobRunning
	m.restart(j)
	m.emit(JobChanged{Job: j.Spec.ID, Batch: j.batch.id, State: j.state, Node: d.To, Attempts: d.Attempt})
	m.emit(d)
}

// restart gives the attempt its time from now, but never beyond what the escrow
// covers.
func (m *Machine) restart(j *job) {
	j.attempt = m.now + m.allowance(j)
	if e := j.escrow; e != nil {
		j.attempt = min(j.attempt, e.Expires-m.cfg.EscrowMargin)
	}
	m.armJob(j)
}

// release takes the job off its worker.
func (m *Machine) release(j *job) {
	if j.worker != nil {
		delete(j.worker.jobs, j)
	}
	j.worker, j.escrow, j.running, j.attempt = nil, nil, false, 0
}

// tellStop asks the worker of a running job to give up.
func (m *Machine) tellStop(j *job) {
	if j.running {
		m.emit(Stop{To: j.worker.node, Job: j.Spec.ID, Attempt: j.attempts()})
	}
}

// abandon gives the current attempt up because the job ends without its result.
// payLate says whether a result that still comes is settled: the job was ended
// by this payer and not by another attempt's result.
func (m *Machine) abandon(j *job, payLate bool) {
	m.tellStop(j)
	if j.escrow != nil {
		j.escrow.payLate = payLate
		m.orphan(j.escrow)
	}
}

// again ends the current attempt without a proof and tries the job elsewhere.
func (m *Machine) again(j *job, kind api.Kind, message string) {
	if j.escrow != nil {
		m.orphan(j.escrow)
	}
	m.retry(j, kind, message, true)
}

// retry puts the job back into its batch, ahead of the others. counts says
// whether it used up one of the job's failures.
func (m *Machine) retry(j *job, kind api.Kind, message string, counts bool) {
	m.release(j)
	j.lastKind, j.lastText = kind, message
	if counts {
		j.failures++
	}
	if j.failures >= m.cfg.MaxFailures || len(j.nodes) >= maxAttempts {
		m.end(j, JobChanged{State: api.JobFailed, Kind: kind, Message: message})
		return
	}
	j.state = api.JobQueued
	j.batch.retry = append(j.batch.retry, j)
	m.armJob(j)
	m.enring(j.batch)
	m.emit(JobChanged{Job: j.Spec.ID, Batch: j.batch.id, State: j.state, Attempts: j.attempts(), Kind: kind, Message: message})
}

// accepted restarts the attempt's time: the job is in the worker's hands.
func (m *Machine) accepted(ev Accepted) {
	j := m.jobs[ev.Job]
	if j == nil || !j.running || j.attempts() != ev.Attempt {
		return
	}
	m.restart(j)
}

func (m *Machine) failed(ev Failed) {
	j := m.jobs[ev.Job]
	if j == nil || !j.running || j.attempts() != ev.Attempt {
		return
	}
	m.suspect(j.worker)
	m.again(j, ev.Kind, ev.Message)
}

// finished takes a worker's signed result: of the current attempt, or of an
// earlier one that was given up too soon, whichever comes first.
func (m *Machine) finished(ev Finished) {
	j, r := m.jobs[ev.Result.ID], &ev.Result
	e := m.escrows[wire.EscrowID(r.ID, ev.Attempt)]
	if e != nil && (e.Worker != r.Worker || e.phase != escrowOpen) {
		return // of another worker, or a repetition
	}
	if j == nil {
		m.lateProof(e, r)
		return
	}
	current := j.running && j.attempts() == ev.Attempt
	if int(ev.Attempt) > len(j.nodes) || ev.Attempt == 0 || j.nodes[ev.Attempt-1] != r.Worker {
		return
	}
	if e != nil && r.Escrow != e.Seq {
		if current {
			m.suspect(j.worker)
			m.again(j, api.Unverified, "the worker signed a result for another escrow")
		}
		return
	}
	if api.GuestOutcome(r.Kind) {
		m.accept(j, e, r, current)
		return
	}
	m.workerFailed(j, e, r, current)
}

// accept ends the job with a result of its guest.
func (m *Machine) accept(j *job, e *escrow, r *api.JobResult, current bool) {
	change := JobChanged{State: api.JobDone, Node: r.Worker, Result: r}
	if r.Kind != api.Other {
		change.State, change.Kind, change.Message = api.JobFailed, r.Kind, r.Message
	}
	if e != nil {
		change.Price = e.Payment(r.Kind, r.Gas)
		m.settle(e, r)
	}
	if current {
		j.worker.strikes = 0
	} else {
		m.abandon(j, false)
	}
	ms := float64(r.RunUS) / 1000
	j.batch.meanMS = blend(j.batch.meanMS, ms)
	m.meanMS = blend(m.meanMS, ms)
	m.end(j, change)
}

// blend is an exponential mean; the first value counts in full.
func blend(mean, v float64) float64 {
	if mean == 0 {
		return max(v, 0.01)
	}
	return mean + (v-mean)/8
}

// workerFailed handles a result whose failure is the worker's own: its escrow is
// closed with the proof, which pays nothing, and the job goes elsewhere.
func (m *Machine) workerFailed(j *job, e *escrow, r *api.JobResult, current bool) {
	if e != nil {
		m.settle(e, r)
	}
	if !current {
		return
	}
	j.escrow = nil
	busy := r.Gas == 0 && (r.Kind == api.Unavailable || r.Kind == api.Conflict)
	denied := r.Gas == 0 && r.Kind == api.Denied
	switch {
	case denied: // this job's affair, such as a module in quarantine there: others may run
		j.denied, j.deniedBy = append(j.denied, r.Worker), r.Message
		m.changed = true
	case r.Kind == api.Conflict: // its price has changed
		j.worker.priced = 0
	case busy:
		m.busy(j.worker)
	default:
		m.suspect(j.worker)
	}
	m.retry(j, r.Kind, r.Message, !busy && !denied)
}

// lateProof uses a result that comes after its job ended to close its escrow.
func (m *Machine) lateProof(e *escrow, r *api.JobResult) {
	if e == nil || r.Escrow != e.Seq {
		return
	}
	if e.payLate || e.Payment(r.Kind, r.Gas) == 0 {
		m.settle(e, r)
	}
}
