package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"inos/kernel/api"
)

// trim removes the oldest jobs beyond max. It reads the small rows only.
func (h *history) trim() {
	h.mu.Lock()
	before := h.count
	h.mu.Unlock()
	var keys []string
	err := h.n.meta.Iterate("jid/", func(_ string, value []byte) bool {
		keys = append(keys, string(value))
		return true
	})
	if err == nil && len(keys) > h.max {
		slices.Sort(keys)
		for _, key := range keys[h.max:] {
			_ = h.n.meta.DeleteLazy(key)
			_ = h.n.meta.DeleteLazy("jid/" + key[max(len(key)-16, 0):])
		}
		keys = keys[:h.max]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trimming = false
	if err != nil {
		return
	}
	// Jobs filed meanwhile may have been seen or not: counting them all errs
	// towards trimming early.
	h.count = len(keys) + h.count - before
	if h.count > h.max+h.room {
		h.trimming = true
		h.n.spawn(h.trim)
	}
}

// jobKey orders jobs: the newest first, then by id.
func jobKey(j *api.Job) string {
	return "job/" + string(binary.BigEndian.AppendUint64(nil, ^uint64(j.Spec.Submitted))) + string(j.Spec.ID[:])
}

// ownOutput lists a job's output among this payer's objects and pays those who
// keep it. An output that this node has already is its own object, with a name,
// terms and payments that a worker's receipts do not change.
func (n *Node) ownOutput(j api.Job) error {
	return n.ownResult(j, outputName(j.Name, j.Spec.Unit, j.Spec.Method, j.Result.MediaType))
}

// ownResult is ownOutput under a name: what a module of the job stored is listed
// and paid in the same way.
func (n *Node) ownResult(j api.Job, name string) error {
	root := j.Result.Output.Root
	unlock, err := n.lockObject(n.ctx, root)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := n.object(root); api.KindOf(err) != api.NotFound {
		return err
	}
	kepts, err := n.keptOutput(j)
	if err != nil {
		return err
	}
	obj := api.Object{
		Link: j.Result.Output, Name: name,
		Files: 1, Bytes: j.Result.OutputSize, Copies: api.DefaultCopies, Acks: uint8(min(len(kepts), 255)),
		Created: time.Now().UnixMilli(), MimeType: j.Result.MediaType, Method: j.Method,
	}
	for _, k := range kepts {
		obj.Wire = max(obj.Wire, k.bytes)
	}
	for _, r := range j.Result.Receipts {
		obj.Blocks = max(obj.Blocks, uint64(r.Count))
	}
	if obj.Paid, err = n.payStorage(root, leaseID(n.id.ID(), root), 0, kepts); err != nil {
		n.metrics.paymentsFailed.Add(1)
		n.cfg.Log("paying those who keep %s: %v", root.Short(), err)
	}
	return n.saveObject(obj)
}

// keptOutput adds up what members signed for, each batch of a holder once. The
// worker chose the receipts, so a holder is paid for no more than the output can
// take up: its bytes, their manifest, and what sealing adds.
func (n *Node) keptOutput(j api.Job) (map[api.NodeID]*kept, error) {
	size := j.Result.OutputSize
	if size > j.Spec.Limits.WithDefaults().OutputBytes {
		return nil, api.Errorf("node.output", api.Corrupt, "the worker reports an output above the job's limit; nobody is paid for it")
	}
	kepts := map[api.NodeID]*kept{}
	for _, r := range j.Result.Receipts {
		if _, member := n.members.Get(r.Holder); !member || n.checkReceipt(r, r.Holder) != nil {
			continue
		}
		k := kepts[r.Holder]
		if k == nil {
			k = &kept{}
			kepts[r.Holder] = k
		}
		if slices.Contains(k.blocks, r.Blocks) {
			continue
		}
		k.bytes = min(k.bytes+min(r.Bytes, math.MaxUint32), size+size/64+256<<10)
		k.blocks = append(k.blocks, r.Blocks)
	}
	return kepts, nil
}

// Jobs pages through the payer's jobs: first those that are not final, then the
// history, newest first in both. A cursor is the id of a page's last job.
func (n *Node) Jobs(_ context.Context, f api.JobFilter) (api.JobPage, error) {
	n.jobs.history.flush()
	limit := pageLimit(f.Limit)
	match := func(j *api.Job) bool {
		return (f.Batch.IsZero() || j.Spec.Batch == f.Batch) && (f.State == "" || j.State.String() == f.State) && (!f.Active || !j.State.Final())
	}
	var out api.JobPage
	after, live := "", true
	if f.After != "" {
		var err error
		if after, live, err = n.jobs.keyOf(f.After); err != nil {
			return out, err
		}
	}
	from := "job/"
	listed := map[api.ID]bool{} // a job may go on file between the two looks
	if live {
		out.Jobs = n.jobs.liveAfter(after, limit+1, match)
		for i := range out.Jobs {
			listed[out.Jobs[i].Spec.ID] = true
		}
	} else {
		from = after + "\x00"
	}
	err := n.meta.IterateFrom("job/", from, func(_ string, value []byte) bool {
		if len(out.Jobs) > limit {
			return false
		}
		var j api.Job
		if json.Unmarshal(value, &j) == nil && !listed[j.Spec.ID] && match(&j) {
			out.Jobs = append(out.Jobs, j)
		}
		return true
	})
	if len(out.Jobs) > limit {
		out.Jobs = out.Jobs[:limit]
		out.Next = out.Jobs[limit-1].Spec.ID.String()
	}
	return out, err
}

// liveAfter returns up to limit jobs that are not final and come after a key.
func (d *jobDriver) liveAfter(after string, limit int, match func(*api.Job) bool) []api.Job {
	type row struct {
		key string
		id  api.ID
	}
	var rows []row
	d.table.Lock()
	for id, j := range d.live {
		if key := jobKey(j); key > after && match(j) {
			rows = append(rows, row{key, id})
		}
	}
	d.table.Unlock()
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.key, b.key) })
	var out []api.Job
	d.table.Lock()
	defer d.table.Unlock()
	for _, r := range rows {
		if j := d.live[r.id]; j != nil && len(out) < limit {
			out = append(out, *j)
		}
	}
	return out
}

// keyOf returns the key of a job in the order of Jobs, and whether the job is
// not final yet.
func (d *jobDriver) keyOf(id string) (key string, live bool, err error) {
	v, err := api.ParseID(id)
	if err != nil {
		return "", false, err
	}
	d.table.Lock()
	if j := d.live[v]; j != nil {
		key, live = jobKey(j), true
	}
	d.table.Unlock()
	if live {
		return key, true, nil
	}
	b, err := d.n.meta.Get("jid/" + string(v[:]))
	if err != nil {
		return "", false, api.Errorf("node.job", api.NotFound, "no job "+v.Short()+" is known here; inos jobs lists them")
	}
	return string(b), false, nil
}

// Job returns one job.
func (n *Node) Job(_ context.Context, id api.ID) (api.Job, error) {
	n.jobs.table.Lock()
	if j := n.jobs.live[id]; j != nil {
		defer n.jobs.table.Unlock()
		return *j, nil
	}
	n.jobs.table.Unlock()
	key, _, err := n.jobs.keyOf(id.String())
	if err != nil {
		return api.Job{}, err
	}
	b, err := n.meta.Get(key)
	if err != nil {
		return api.Job{}, err
	}
	var j api.Job
	if err := json.Unmarshal(b, &j); err != nil {
		return j, api.E("node.job", api.Corrupt, err)
	}
	return j, nil
}
