package node

import (
	"context"
	"crypto/ed25519"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/sched"
	"inos/kernel/wire"
)

// Bounds of the payer's side.
const (
	maxBatchWaiting = 4096             // changes of one batch waiting for a slow caller; beyond, only final states
	maxAttempt      = 15 * time.Minute // one attempt; the scheduler stops it earlier
)

// jobDriver drives the scheduler with what happens and performs its effects.
//
// Invariants:
//   - mu guards machine and timer; effects are performed without it.
//   - live holds the jobs the machine knows, and final ones until the history has
//     them on file.
type jobDriver struct {
	n       *Node
	history *history

	mu      sync.Mutex
	machine *sched.Machine // guarded by mu
	timer   *time.Timer
	closed  bool // guarded by mu

	table   sync.Mutex
	live    map[api.ID]*api.Job // guarded by table
	batches map[api.ID]*batch   // guarded by table
	running map[attempt]flight  // guarded by table
}

type attempt struct {
	job api.ID
	no  uint8
}

// batch is a Run call waiting for its jobs. Effects of different steps are
// performed side by side, so the scheduler's word that the batch is over may
// come before the last jobs' final states: it is over when both have.
type batch struct {
	wake    chan struct{} // capacity 1
	mu      sync.Mutex
	changes []api.Job // guarded by mu
	open    int       // guarded by mu; jobs whose final state has not come
	err     error     // guarded by mu; Refused
	ended   bool      // guarded by mu; BatchDone or Refused came
}

// over reports whether nothing more will come. mu is held.
func (b *batch) over() bool { return b.ended && (b.open == 0 || b.err != nil) }

func (b *batch) push(j api.Job) {
	b.mu.Lock()
	if len(b.changes) < maxBatchWaiting || j.State.Final() {
		b.changes = append(b.changes, j)
	}
	if j.State.Final() {
		b.open--
	}
	b.mu.Unlock()
	b.signal()
}

func (b *batch) end(err error) {
	b.mu.Lock()
	b.ended, b.err = true, err
	b.mu.Unlock()
	b.signal()
}

func (b *batch) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func openJobs(n *Node) (*jobDriver, error) {
	m, err := sched.New(sched.Config{Self: n.id.ID()})
	if err != nil {
		return nil, err
	}
	d := &jobDriver{
		n: n, machine: m, history: openHistory(n),
		live: map[api.ID]*api.Job{}, batches: map[api.ID]*batch{}, running: map[attempt]flight{},
	}
	d.timer = time.AfterFunc(time.Hour, func() { d.step(sched.Tick{}) })
	d.timer.Stop()
	return d, nil
}

// adopt asks the ledger which escrows of this payer a crash left open, again
// until the ledger has told all of them.
func (d *jobDriver) adopt() {
	q := api.EscrowQuery{Payer: d.n.id.ID(), Limit: api.MaxEntryPage}
	for {
		ctx, cancel := context.WithTimeout(d.n.ctx, callTimeout)
		page, err := d.n.books.Escrows(ctx, q)
		cancel()
		if err != nil {
			select {
			case <-time.After(outboxRetry):
				continue
			case <-d.n.ctx.Done():
				return
			}
		}
		if len(page) == 0 {
			return
		}
		d.step(sched.Adopt{Escrows: page})
		q.After = page[len(page)-1].ID
	}
}

func (d *jobDriver) step(ev sched.Event) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	now := time.Now().UnixMilli()
	effects := append([]sched.Effect(nil), d.machine.Step(now, ev)...)
	if next, ok := d.machine.Next(); ok {
		d.timer.Reset(time.Duration(max(next-now, 0)) * time.Millisecond)
	} else {
		d.timer.Stop()
	}
	d.mu.Unlock()
	for _, e := range effects {
		d.perform(e)
	}
}

func (d *jobDriver) close() {
	d.mu.Lock()
	d.closed = true
	d.timer.Stop()
	d.mu.Unlock()
}

func (d *jobDriver) perform(effect sched.Effect) {
	switch e := effect.(type) {
	case sched.Refused:
		if b := d.batch(e.Batch); b != nil {
			b.end(e.Err)
		}
	case sched.Quote:
		d.n.spawn(func() { d.quote(e.Node) })
	case sched.OpenEscrow:
		d.n.spawn(func() { d.openEscrow(e) })
	case sched.Dispatch:
		ctx, cancel := context.WithCancel(d.n.ctx)
		d.table.Lock()
		d.running[attempt{e.Spec.ID, e.Attempt}] = flight{ctx, cancel}
		d.table.Unlock()
		if !d.n.spawn(func() { d.dispatch(ctx, e) }) {
			d.ended(e)
		}
	case sched.Stop:
		d.giveUp(e)
	case sched.Settle:
		d.n.spawn(func() { d.submit(e.Command, api.EscrowSettle{Settlements: e.Settlements}) })
	case sched.Refund:
		d.n.spawn(func() { d.submit(e.Command, api.EscrowRefund{Escrows: e.Escrows}) })
	case sched.JobChanged:
		d.changed(e)
	case sched.BatchDone:
		if b := d.batch(e.Batch); b != nil {
			b.end(nil)
		}
	}
}

func (d *jobDriver) batch(id api.ID) *batch {
	d.table.Lock()
	defer d.table.Unlock()
	return d.batches[id]
}

// workerChanged feeds what is known of workers to the scheduler.
func (d *jobDriver) workerChanged(nodes ...api.NodeID) {
	if d == nil || len(nodes) == 0 {
		return
	}
	changed := make(map[api.NodeID]struct{}, len(nodes))
	for _, id := range nodes {
		changed[id] = struct{}{}
	}
	for _, p := range d.n.peerRows() {
		if _, ok := changed[p.Node]; !ok {
			continue
		}
		if !p.Online && !p.Self {
			d.step(sched.WorkerLost{Node: p.Node})
			continue
		}
		d.step(sched.WorkerUpdate{
			Node: p.Node, Online: true, Workers: d.n.workersAt(p), Queue: p.Queue,
			Price: p.Prices.ComputeGgas, LatencyMS: p.LatencyMS,
		})
	}
}

func (d *jobDriver) quote(to api.NodeID) {
	ctx, cancel := context.WithTimeout(d.n.ctx, callTimeout)
	defer cancel()
	q, err := wire.EncodeQuoteRequest(api.QuoteRequest{})
	if err == nil {
		q, err = d.n.net.Call(ctx, to, methodQuote, q)
	}
	var w api.WorkerQuote
	if err == nil {
		w, err = wire.DecodeQuote(q)
	}
	if err != nil {
		d.step(sched.WorkerLost{Node: to})
		return
	}
	d.step(sched.WorkerUpdate{
		Node: to, Online: true, Workers: w.Workers, Queue: w.Queue, Price: w.Compute, Quoted: true, ValidTill: w.ValidTill,
	})
}

func (d *jobDriver) openEscrow(e sched.OpenEscrow) {
	ctx, cancel := context.WithTimeout(d.n.ctx, callTimeout)
	defer cancel()
	out, err := d.n.books.Submit(ctx, d.n.pay(e.Command, api.EscrowOpen{Escrows: e.Escrows}))
	if err != nil {
		d.step(sched.EscrowFailed{Command: e.Command, Kind: failureKind(err), Message: messageOf(err)})
		return
	}
	d.step(sched.EscrowOpened{Command: e.Command, First: out.First})
}

// submit settles or refunds; the scheduler tries again when that failed.
func (d *jobDriver) submit(id api.ID, op api.Op) {
	ctx, cancel := context.WithTimeout(d.n.ctx, callTimeout)
	defer cancel()
	if _, err := d.n.books.Submit(ctx, d.n.pay(id, op)); err != nil {
		d.step(sched.CloseFailed{Command: id, Kind: failureKind(err)})
		return
	}
	d.step(sched.Closed{Command: id})
}

// dispatch runs one attempt here or on another node and brings its result.
func (d *jobDriver) dispatch(ctx context.Context, e sched.Dispatch) {
	defer d.ended(e)
	job := api.Dispatch{Spec: e.Spec, Attempt: e.Attempt, Escrow: e.Escrow}
	var r api.JobResult
	var err error
	if e.To == d.n.id.ID() {
		r = d.n.worker.run(ctx, job)
	} else {
		job.Spec.OutputKey = d.n.outputKey(e.Spec)
		r, err = d.ask(ctx, e.To, job)
	}
	if err != nil {
		d.step(sched.Failed{Job: e.Spec.ID, Attempt: e.Attempt, Kind: failureKind(err), Message: messageOf(err)})
		return
	}
	d.step(sched.Finished{Attempt: e.Attempt, Result: r})
}

// ended forgets a dispatch and ends its context.
func (d *jobDriver) ended(e sched.Dispatch) {
	d.table.Lock()
	defer d.table.Unlock()
	key := attempt{e.Spec.ID, e.Attempt}
	if f, ok := d.running[key]; ok {
		f.cancel()
	}
	delete(d.running, key)
}

func (d *jobDriver) ask(ctx context.Context, to api.NodeID, job api.Dispatch) (api.JobResult, error) {
	const op = "node.dispatch"
	ctx, cancel := context.WithTimeout(ctx, maxAttempt)
	defer cancel()
	b, err := wire.EncodeDispatch([]api.Dispatch{job})
	if err != nil {
		return api.JobResult{}, err
	}
	if b, err = d.n.net.Call(ctx, to, methodRun, b); err != nil {
		return api.JobResult{}, err
	}
	results, err := wire.DecodeResults(b)
	if err != nil {
		return api.JobResult{}, err
	}
	if len(results) != 1 || results[0].ID != job.Spec.ID || results[0].Worker != to {
		return api.JobResult{}, api.Errorf(op, api.Corrupt, "the worker answered for another job")
	}
	r := results[0]
	if !ed25519.Verify(to[:], wire.ResultSigning(r), r.Sig[:]) {
		return r, api.Errorf(op, api.Corrupt, "the worker's signature does not verify")
	}
	return r, nil
}

// outputKey seals a job's output. It depends on what the job computes and on
// this payer's secret, so every worker yields the same link for the same job,
// and a worker learns the key of that output alone.
func (n *Node) outputKey(spec api.JobSpec) [32]byte {
	id := wire.JobIdentity(spec)
	return n.id.OutputKey(api.ID(id[:16]))
}

// methodOf is the module/unit.method of a job that this node pays for and that
// is not over.
func (d *jobDriver) methodOf(id api.ID) string {
	d.table.Lock()
	defer d.table.Unlock()
	if j := d.live[id]; j != nil {
		return j.Method
	}
	return ""
}

// changed notes a job's new state, tells the caller, and files final jobs.
func (d *jobDriver) changed(e sched.JobChanged) {
	d.table.Lock()
	j := d.live[e.Job]
	if j == nil || j.State.Final() {
		d.table.Unlock()
		return
	}
	j.State, j.Attempts, j.Price = e.State, e.Attempts, e.Price
	j.Result.Worker = e.Node
	if e.Result != nil {
		j.Result = *e.Result
	}
	if e.State == api.JobFailed || e.State == api.JobStopped {
		j.Error, j.Result.Kind, j.Result.Message = e.Kind.String(), e.Kind, e.Message
	}
	if e.State.Final() {
		j.Finished = time.Now().UnixMilli()
	}
	snapshot, b := *j, d.batches[e.Batch]
	d.table.Unlock()
	// An output is listed before its job is reported done; what has none is
	// reported first.
	early := snapshot.Result.Output.IsZero()
	if early && b != nil {
		b.push(snapshot)
	}
	if snapshot.State.Final() {
		d.file(snapshot)
	}
	d.n.memory.noteJob(snapshot)
	if !early && b != nil {
		b.push(snapshot)
	}
}

// Run starts one job per input and reports every change until all are final.
func (n *Node) Run(ctx context.Context, req api.RunRequest, each func(api.Job) error) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.leave()
	id := api.RandomID()
	jobs, err := n.plan(ctx, id, req)
	if err != nil {
		return err
	}
	d := n.jobs
	b := &batch{wake: make(chan struct{}, 1), open: len(jobs)}
	d.table.Lock()
	d.batches[id] = b
	for i := range jobs {
		d.live[jobs[i].Spec.ID] = &api.Job{
			Spec: jobs[i].Spec, Name: jobs[i].Name, Input: jobs[i].Size, State: api.JobQueued,
			Method: req.Module + "/" + req.Unit + "." + req.Method,
		}
	}
	d.table.Unlock()
	defer func() {
		d.table.Lock()
		delete(d.batches, id)
		for i := range jobs {
			if j := d.live[jobs[i].Spec.ID]; j != nil && !j.State.Final() {
				delete(d.live, jobs[i].Spec.ID)
			}
		}
		d.table.Unlock()
	}()
	d.step(sched.Submit{Batch: id, Jobs: jobs})
	return d.follow(ctx, id, b, each)
}

// follow hands changes to the caller until the batch is over.
func (d *jobDriver) follow(ctx context.Context, id api.ID, b *batch, each func(api.Job) error) error {
	var failed error
	for {
		b.mu.Lock()
		changes, done, err := b.changes, b.over(), b.err
		b.changes = nil
		b.mu.Unlock()
		for _, j := range changes {
			if failed == nil {
				if failed = each(j); failed != nil {
					d.step(sched.Cancel{Batch: id})
				}
			}
		}
		if done {
			if err == nil {
				err = failed
			}
			return err
		}
		select {
		case <-b.wake:
		case <-ctx.Done():
			if failed == nil {
				failed = api.E("node.run", api.Other, ctx.Err())
				d.step(sched.Cancel{Batch: id})
			}
			select {
			case <-b.wake:
			case <-d.n.ctx.Done():
				return failed
			}
		case <-d.n.ctx.Done():
			return api.Errorf("node.run", api.Closed, "the node is stopping")
		}
	}
}

// JobCancel stops a job or a batch.
func (n *Node) JobCancel(ctx context.Context, id api.ID) error {
	d := n.jobs
	d.table.Lock()
	_, isBatch := d.batches[id]
	j := d.live[id]
	if j != nil && j.State.Final() {
		j = nil
	}
	d.table.Unlock()
	switch {
	case isBatch:
		d.step(sched.Cancel{Batch: id})
	case j != nil:
		d.step(sched.Cancel{Batch: j.Spec.Batch, Job: id})
	default:
		_, err := n.Job(ctx, id)
		return err
	}
	return nil
}
