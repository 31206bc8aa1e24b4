package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/semaphore"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/sched/admission"
	"inos/kernel/wire"
)

// worker runs jobs for any payer of the mesh, this node included. Waiting jobs
// are bounded and payers served in turn; a job refused with Unavailable is tried
// on another worker by its payer.
//
// A job that costs its payer something is run only under an escrow that the
// ledger holds, and an escrow pays for one result: see claims.
type worker struct {
	n           *Node
	engine      module.Engine
	supervisors *supervisors
	claims      *claims
	inputs      *semaphore.Weighted // bytes of inputs in memory, at most maxInputs
	lent        *lentInputs         // the arena memory that inputs lie in
	slack       time.Duration       // an escrow lasts at least this much longer than its job may run

	mu     sync.Mutex
	queue  *admission.Queue[attemptOf, chan struct{}] // guarded by mu; the channel is closed when the job may start
	loaded map[api.Hash]module.Module                 // guarded by mu; at most maxLoaded
	stops  map[openAttempt]context.CancelFunc         // guarded by mu; one per dispatch being answered
}

// Bounds of a worker. A payer's limits beyond them are refused.
const (
	maxLoaded = 64               // modules found without reading their files again
	maxInputs = 2 * api.MaxInput // bytes of inputs in memory
	maxWall   = 10 * 60_000      // ms one call may run
	maxOutput = 256 << 20        // bytes of one output

	escrowSlack = 30 * time.Second // for the way of the input, the output and the result
)

// attemptOf names one attempt at a job here.
type attemptOf struct {
	job     api.ID
	attempt uint8
}

func openWorker(n *Node) (*worker, error) {
	e, err := n.openEngine()
	if err != nil {
		return nil, err
	}
	// Jobs of one slot overlap: while one reads its input or stores its output,
	// another runs. The engine bounds what runs in guests.
	q, err := admission.New[attemptOf, chan struct{}](admission.Limits{Workers: 2 * n.cfg.Workers, Own: n.id.ID()})
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	s, err := openSupervisors(n)
	if err != nil {
		return nil, errors.Join(err, e.Close())
	}
	w := &worker{
		n: n, engine: e, supervisors: s, claims: openClaims(n), inputs: semaphore.NewWeighted(maxInputs), lent: openInputs(n.memory), slack: escrowSlack,
		queue: q, loaded: map[api.Hash]module.Module{}, stops: map[openAttempt]context.CancelFunc{},
	}
	w.share()
	return w, nil
}

// admit waits for a place, at most until ctx ends. The caller ends it with leave.
func (w *worker) admit(ctx context.Context, spec api.JobSpec, key attemptOf) error {
	start := make(chan struct{})
	offer := admission.Offer{Payer: spec.Payer, Priority: spec.Priority, Deadline: spec.Deadline}
	w.mu.Lock()
	err := w.queue.Offer(time.Now().UnixMilli(), offer, key, start)
	w.pump()
	w.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-start:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	_, waiting := w.queue.Drop(key)
	w.mu.Unlock()
	if !waiting {
		w.leave(key, time.Now())
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return api.Errorf("node.work", api.Timeout, "the deadline passed while the job waited for its turn")
	}
	return api.E("node.work", api.Other, ctx.Err())
}

// leave gives back the place that the job has had since began.
func (w *worker) leave(key attemptOf, began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue.Done(key, time.Since(began).Milliseconds())
	w.pump()
}

// pump starts what may start. mu is held.
func (w *worker) pump() {
	for {
		_, start, ok := w.queue.Next()
		if !ok {
			return
		}
		close(start)
	}
}

func (w *worker) close() error {
	w.claims.close()
	err := w.engine.Close()
	w.lent.close()
	return err
}

func (w *worker) load() int {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.queue.Len()
}

// run does one job and returns the result; failures are results too. It is
// signed unless this node is the payer, whom nobody has to convince.
func (w *worker) run(ctx context.Context, d api.Dispatch) api.JobResult {
	r := w.answer(ctx, d)
	if r.Sig == [64]byte{} && d.Spec.Payer != w.n.id.ID() {
		r = w.seal(r)
	}
	return r
}

// answer does one job. A result names its escrow only when that is known to be open for this attempt
// and nothing was signed for it before: a payer could close the escrow with it.
func (w *worker) answer(ctx context.Context, d api.Dispatch) api.JobResult {
	r := api.JobResult{ID: d.Spec.ID, Worker: w.n.id.ID()}
	if err := w.n.enter(); err != nil {
		return w.fail(r, api.Errorf("node.work", api.Unavailable, "this worker is stopping"))
	}
	defer w.n.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.n.work, cancel)()
	defer w.open(d, cancel)()
	if err := w.willing(d); err != nil {
		return w.fail(r, err)
	}
	if w.free(d) {
		r.Escrow = d.Escrow.Seq
		return w.admitted(ctx, d, r)
	}
	key := escrowOf{d.Spec.ID, d.Escrow.Seq}
	if err := w.claims.reserve(key, d.Escrow.Expires); err != nil {
		return w.fail(r, err)
	}
	if err := w.funded(ctx, d); err != nil {
		w.claims.release(key)
		return w.fail(r, err)
	}
	r.Escrow = d.Escrow.Seq
	if err := w.enough(d); err != nil {
		return w.fail(r, err)
	}
	r = w.seal(w.admitted(ctx, d, r))
	w.claims.note(d.Escrow, r)
	return r
}

// admitted waits for a place and does the job there.
func (w *worker) admitted(ctx context.Context, d api.Dispatch, r api.JobResult) api.JobResult {
	if err := checkLimits(d.Spec.Limits.WithDefaults()); err != nil {
		return w.fail(r, err)
	}
	if d.Spec.Deadline != 0 { // from here on: in the queue, on the way of the input, in the guest
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, time.UnixMilli(d.Spec.Deadline))
		defer cancel()
	}
	id := wire.JobIdentity(d.Spec)
	v, err := w.supervisors.arrive(d.Spec.Module, d.Spec.Payer, id)
	if err != nil {
		return w.fail(r, err)
	}
	key := attemptOf{d.Spec.ID, d.Attempt}
	if err := w.admit(ctx, d.Spec, key); err != nil {
		v.left()
		return w.fail(r, err)
	}
	defer w.leave(key, time.Now())
	if err := v.begin(); err != nil {
		return w.fail(r, err)
	}
	defer v.ended()
	return w.perform(ctx, d.Spec, id, v, r)
}

// free reports whether the payer owes nothing for the job.
func (w *worker) free(d api.Dispatch) bool {
	return d.Spec.Payer == w.n.id.ID() || w.n.cfg.Prices.ComputeGgas == 0
}

// checkLimits refuses what a payer may not ask of this node.
func checkLimits(l api.Limits) error {
	const op = "node.work"
	switch {
	case l.WallMS > maxWall:
		return api.Errorf(op, api.Invalid, "a job runs for at most 10 minutes; lower its wall time")
	case l.OutputBytes > maxOutput:
		return api.Errorf(op, api.Invalid, "an output has at most 256 MiB; lower its limit")
	}
	return nil
}

// funded checks that the ledger holds the escrow, open for this attempt at this
// worker, as the dispatch tells it.
func (w *worker) funded(ctx context.Context, d api.Dispatch) error {
	const op = "node.work"
	e := d.Escrow
	if e.ID != wire.EscrowID(d.Spec.ID, d.Attempt) {
		return api.Errorf(op, api.Denied, "the escrow is for another attempt")
	}
	open, err := w.n.books.Escrow(ctx, e.ID)
	if err != nil {
		if api.KindOf(err) == api.NotFound {
			return api.Errorf(op, api.Denied, "the escrow is not in the ledger")
		}
		return api.E(op, api.Unavailable, err)
	}
	if open != e || open.Job != d.Spec.ID || open.Payer != d.Spec.Payer || open.Worker != w.n.id.ID() {
		return api.Errorf(op, api.Denied, "the escrow in the ledger is for something else")
	}
	return nil
}

// enough checks that the escrow pays this node's price for the whole gas limit
// and cannot end before the job.
func (w *worker) enough(d api.Dispatch) error {
	const op = "node.work"
	e, limits := d.Escrow, d.Spec.Limits.WithDefaults()
	price, err := d.Spec.Priority.Price(w.n.cfg.Prices.ComputeGgas)
	if err != nil {
		return err
	}
	if e.Price < price {
		return api.Errorf(op, api.Conflict, "this worker asks "+price.String()+" credits per 10^9 gas for a job of "+d.Spec.Priority.String()+" priority; ask for a new quote")
	}
	most, err := e.Price.MulDiv(limits.Gas, api.Ggas)
	if err != nil || e.Amount < most {
		return api.Errorf(op, api.Unfunded, "the escrow does not cover the gas limit")
	}
	if e.Expires < time.Now().UnixMilli()+int64(limits.WallMS)+w.slack.Milliseconds() {
		return api.Errorf(op, api.Unavailable, "the escrow ends before the job can; the clocks of payer and worker may differ")
	}
	return nil
}

// perform does the job; id is what was computed (wire.JobIdentity).
func (w *worker) perform(ctx context.Context, spec api.JobSpec, id api.Hash, v *visit, r api.JobResult) api.JobResult {
	m, err := w.module(ctx, spec)
	if err != nil {
		v.note(0, err)
		return w.fail(r, api.E("node.work", moduleKind(err), err))
	}
	call := module.Call{
		Unit: spec.Unit, Method: spec.Method, Params: spec.Params, Limits: spec.Limits,
		Seed: id, SubmittedMS: spec.Submitted, Share: w.n.shareOf(spec.Payer),
	}
	call.Syscalls = w.n.syscalls.session(m.Description(), spec, &call, spec.Payer)
	if !spec.Input.IsZero() {
		in, err := w.input(ctx, spec, m)
		if err != nil {
			return w.fail(r, api.E("node.work", inputKind(err), err))
		}
		defer in.done()
		call.Input, call.Loan, call.Name, call.MediaType = in.data, in.loan, in.name, mediaType(in.name, false)
	}
	var lines logTail
	call.Log = lines.add
	res, err := m.Call(ctx, call)
	r.Log = lines.String()
	r.Gas, r.RunUS = res.Gas, res.RunUS
	w.n.metrics.gas.Add(res.Gas)
	v.note(res.Gas, err)
	if err != nil {
		return w.fail(r, err)
	}
	if err := w.keep(ctx, spec, call.Name, res, &r); err != nil {
		return w.fail(r, api.E("node.work", api.Unavailable, err))
	}
	w.n.metrics.jobsDone.Add(1)
	return r
}

// moduleKind classes a failure to load the module. What is wrong with the file
// itself is final; anything else may work elsewhere.
func moduleKind(err error) api.Kind {
	switch k := api.KindOf(err); k {
	case api.Invalid, api.NotFound, api.Trapped, api.Canceled:
		return k
	}
	return api.Unavailable
}

// inputKind classes a failure to read the input. The payer named it, so an
// unknown link or path is final; anything else may work elsewhere.
func inputKind(err error) api.Kind {
	switch k := api.KindOf(err); k {
	case api.Invalid, api.NotFound, api.Canceled:
		return k
	}
	return api.Unavailable
}

// module loads a module, or finds it loaded. Loaded ones stay until the node
// stops or maxLoaded others were used since.
func (w *worker) module(ctx context.Context, spec api.JobSpec) (module.Module, error) {
	w.mu.Lock()
	m := w.loaded[spec.Module]
	w.mu.Unlock()
	if m != nil {
		w.supervisors.introduce(m.Description())
		return m, nil
	}
	file, err := w.n.modules.file(ctx, spec.Module, spec.ModuleLink)
	if err != nil {
		return nil, err
	}
	if m, err = w.engine.Load(ctx, spec.Module, file); err != nil {
		if d, parsed := module.Parse(file); parsed == nil {
			w.supervisors.introduce(d)
		}
		return nil, err
	}
	w.supervisors.introduce(m.Description())
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.loaded) >= maxLoaded {
		clear(w.loaded)
	}
	w.loaded[spec.Module] = m
	return m, nil
}

// hashOfNothing spares jobs without output a hasher, whose 10 KiB on the stack
// cost more than they do.
var hashOfNothing = blake3.Sum256(nil)

// keep stores the output under the key that the payer derived.
func (w *worker) keep(ctx context.Context, spec api.JobSpec, input string, res module.Result, r *api.JobResult) error {
	r.OutputSize, r.MediaType = uint64(len(res.Output)), res.MediaType
	if len(res.Output) == 0 {
		r.OutputHash = hashOfNothing
		return nil
	}
	r.OutputHash = blake3.Sum256(res.Output)
	req := content{PutRequest: api.PutRequest{Name: outputName(input, spec.Unit, spec.Method, res.MediaType), Size: r.OutputSize}}
	if spec.Payer == w.n.id.ID() {
		spec.OutputKey = w.n.outputKey(spec)
		req.method = w.n.jobs.methodOf(spec.ID)
	}
	obj, receipts, err := w.n.putOutput(ctx, spec.Payer, spec.OutputKey, req, res.Output)
	if err != nil {
		return err
	}
	r.Output, r.Receipts = obj.Link, receipts[:min(len(receipts), wire.MaxReceipts)]
	return nil
}

// fail fills in why the job failed.
func (w *worker) fail(r api.JobResult, err error) api.JobResult {
	r.Kind, r.Message = failureKind(err), messageOf(err)
	if r.Kind == api.Canceled && w.n.work.Err() != nil {
		r.Kind, r.Message = api.Unavailable, "this worker is stopping"
	}
	if len(r.Message) > wire.MaxResultText {
		r.Message = strings.ToValidUTF8(r.Message[:wire.MaxResultText], "")
	}
	w.n.metrics.jobsFailed.Add(1)
	return r
}

func (w *worker) seal(r api.JobResult) api.JobResult {
	r.Sig = [64]byte(ed25519.Sign(w.n.id.PrivateKey(), wire.ResultSigning(r)))
	return r
}

// handleRun answers a dispatch from another payer.
func (n *Node) handleRun(ctx context.Context, from api.NodeID, req []byte) ([]byte, error) {
	jobs, err := wire.DecodeDispatch(req)
	if err != nil {
		return nil, err
	}
	for i := range jobs {
		if jobs[i].Spec.Payer != from {
			return nil, api.Errorf("node.work", api.Denied, "a job is dispatched by its payer")
		}
	}
	results := make([]api.JobResult, len(jobs))
	for i, d := range jobs {
		results[i] = n.worker.run(ctx, d)
	}
	return wire.EncodeResults(results)
}

// handleQuote answers what a call would cost here.
func (n *Node) handleQuote(_ context.Context, _ api.NodeID, req []byte) ([]byte, error) {
	if _, err := wire.DecodeQuoteRequest(req); err != nil {
		return nil, err
	}
	return wire.EncodeQuote(api.WorkerQuote{
		Worker: n.id.ID(), Compute: n.cfg.Prices.ComputeGgas, Workers: uint16(n.Offered()),
		Queue: uint16(min(n.worker.load(), 65535)), ValidTill: time.Now().Add(time.Minute).UnixMilli(),
	})
}
