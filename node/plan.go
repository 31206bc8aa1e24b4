package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"inos/kernel/api"
	"inos/kernel/chunk"
	"inos/kernel/module"
	"inos/kernel/sched"
)

// plan turns a request into jobs: folders become their files, parameters are
// checked once against the module's manifest.
func (n *Node) plan(ctx context.Context, batchID api.ID, req api.RunRequest) ([]sched.Job, error) {
	const op = "node.run"
	if !req.Priority.Valid() {
		return nil, api.Errorf(op, api.Invalid, "a priority is low, normal or high")
	}
	if req.Deadline != 0 && req.Deadline <= time.Now().UnixMilli() {
		return nil, api.Errorf(op, api.Timeout, "the deadline has passed already; give the run more time")
	}
	desc, link, err := n.modules.find(ctx, req.Module)
	if err != nil {
		return nil, err
	}
	m, ok := desc.Method(req.Unit, req.Method)
	if !ok {
		return nil, desc.Prepare(&module.Call{Unit: req.Unit, Method: req.Method})
	}
	call := module.Call{Unit: req.Unit, Method: req.Method, Params: req.Params, Limits: req.Limits}
	if m.InputRequired {
		call.Input = []byte{0}
		if len(req.Inputs) == 0 {
			return nil, api.Errorf(op, api.Invalid, fmt.Sprintf("%s/%s.%s needs an input; name one or more links", req.Module, req.Unit, req.Method))
		}
	}
	if err := desc.Prepare(&call); err != nil {
		return nil, err
	}
	spec := api.JobSpec{
		Batch: batchID, Payer: n.id.ID(), Module: desc.Hash, ModuleLink: link, Unit: req.Unit, Method: req.Method,
		Params: call.Params, Limits: call.Limits, PriceCap: req.PriceCap, Deadline: req.Deadline, Priority: req.Priority, Submitted: time.Now().UnixMilli(),
	}
	if spec.PriceCap == 0 {
		if spec.PriceCap, err = n.cfg.MaxPrices.Compute(spec.Limits.WithDefaults().Gas); err != nil {
			return nil, err
		}
	}
	if req.Node != "" {
		pin, err := n.findMember(op, req.Node)
		if err != nil {
			return nil, err
		}
		spec.Node = pin.Node
	}
	if len(req.Inputs) == 0 {
		spec.ID = api.RandomID()
		return []sched.Job{{Spec: spec}}, nil
	}
	var jobs []sched.Job
	for _, in := range req.Inputs {
		if jobs, err = n.expand(ctx, jobs, spec, in); err != nil {
			return nil, err
		}
	}
	if len(jobs) == 0 {
		return nil, api.Errorf(op, api.Invalid, "the folder has no files")
	}
	return jobs, nil
}

// expand appends the jobs of one input.
func (n *Node) expand(ctx context.Context, jobs []sched.Job, spec api.JobSpec, in api.RunInput) ([]sched.Job, error) {
	const op = "node.run"
	add := func(path, name string, size uint64, holders []api.NodeID) error {
		if len(jobs) >= api.MaxBatchJobs {
			return api.Errorf(op, api.Exhausted, "a run has at most 100000 inputs; split it")
		}
		s := spec
		s.ID, s.Input, s.InputPath = api.RandomID(), in.Link, path
		jobs = append(jobs, sched.Job{Spec: s, Name: name, Holders: holders, Size: size})
		return nil
	}
	obj, err := n.open(ctx, in.Link)
	if err != nil {
		return nil, err
	}
	in.Link = obj.Link()
	holders := n.holdersOf(in.Link.Root)
	info := obj.Info()
	if !info.Folder {
		return jobs, add("", info.Name, info.Size, holders)
	}
	below := strings.Trim(in.Path, "/")
	found := false
	err = obj.Walk(ctx, func(e chunk.Entry) error {
		if below != "" && e.Path != below && !strings.HasPrefix(e.Path, below+"/") {
			return nil
		}
		found = true
		if e.Kind != chunk.KindFile {
			return nil
		}
		return add(e.Path, e.Path, e.Size, holders)
	})
	if err == nil && !found {
		err = api.Errorf(op, api.NotFound, fmt.Sprintf("the folder has no %q", below))
	}
	return jobs, err
}

// Quote estimates a run. Gas is told from this payer's last jobs of the method
// and the sizes of their inputs (gasModel); Ceiling is what escrow will hold.
func (n *Node) Quote(ctx context.Context, req api.RunRequest) (api.Quote, error) {
	jobs, err := n.plan(ctx, api.RandomID(), req)
	if err != nil {
		return api.Quote{}, err
	}
	spec, count := jobs[0].Spec, uint64(len(jobs))
	q := api.Quote{Jobs: len(jobs), Module: spec.Module}
	limit := spec.Limits.WithDefaults().Gas
	model := modelGas(n.lastRuns(spec))
	q.Seen = model.seen
	for _, j := range jobs {
		q.Bytes += j.Size
		q.Gas += min(model.of(j.Size), limit)
	}
	each := q.Gas / count
	cheapest := true
	for _, p := range n.peerRows() {
		if !p.Online && !p.Self || n.workersAt(p) == 0 || req.Node != "" && p.Node != spec.Node {
			continue
		}
		if p.Self {
			q.FreeHere = true
			q.Offers = append([]api.NodeQuote{{Node: p.Node, Name: p.Name, Queue: int(p.Queue)}}, q.Offers...)
			continue
		}
		price, err := costOf(p.Prices, spec.Priority, each, count)
		if err != nil {
			continue // nobody can pay that
		}
		ceiling, err := costOf(p.Prices, spec.Priority, limit, count)
		if err != nil {
			continue
		}
		if cheapest || price < q.Price {
			q.Price, q.Ceiling, cheapest = price, ceiling, false
		}
		q.Offers = append(q.Offers, api.NodeQuote{Node: p.Node, Name: p.Name, Price: price, Queue: int(p.Queue)})
	}
	if balance, err := n.books.Balance(ctx, api.Account{Kind: api.NodeAccount, Node: n.id.ID()}); err == nil {
		q.Balance, q.Affords = balance, balance >= q.Ceiling
	}
	return q, nil
}

// costOf is what count jobs of a priority and some gas each cost; Invalid on
// overflow.
func costOf(p api.Prices, priority api.Priority, gas, count uint64) (api.Credits, error) {
	price, err := priority.Price(p.ComputeGgas)
	if err != nil {
		return 0, err
	}
	one, err := api.Prices{ComputeGgas: price}.Compute(gas)
	if err != nil {
		return 0, err
	}
	return one.MulDiv(count, 1)
}
