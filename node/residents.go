package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/module"
)

// residents are the resident modules of this node.
//
// Invariants:
//   - A resident is built in or signed by this node's key: it can read and write
//     all of the arena.
//   - byHash holds at most maxResidents entries; one that ended stays until it is
//     started again, or makes room.
type residents struct {
	n     *Node
	sound time.Duration // a run of so long clears what earlier ones counted against the module
	mu    sync.Mutex
	// guarded by mu
	byHash map[api.Hash]*resident
}

const (
	maxResidents = 32 // remembered, running or not

	// residentSound is as long as a degraded guest takes to be healthy again.
	residentSound = 5 * time.Second
)

func openResidents(n *Node) *residents {
	return &residents{n: n, sound: residentSound, byHash: map[api.Hash]*resident{}}
}

// ModuleStart starts a resident and returns once its first state is made. From
// then on it is supervised: one that fails is started again, later each time, and
// ends in quarantine when it fails again and again.
func (n *Node) ModuleStart(ctx context.Context, ref string, req api.ResidentStart) (api.Resident, error) {
	const op = "node.modulestart"
	d, link, err := n.modules.find(ctx, ref)
	if err != nil {
		return api.Resident{}, err
	}
	if !d.Manifest.Resident {
		return api.Resident{}, api.Errorf(op, api.Invalid, d.Manifest.Name+" is a guest; run it with inos run "+d.Manifest.Name+"/UNIT.METHOD")
	}
	if builtin := link.IsZero(); !builtin && d.Signature.Author != n.id.ID() {
		return api.Resident{}, api.Errorf(op, api.Denied, "a resident reaches all of this node's shared memory, so the node's owner must sign it: inos module sign FILE --key "+keyFile(n.cfg))
	}
	engine, ok := n.worker.engine.(module.ResidentEngine)
	if !ok {
		return api.Resident{}, api.Errorf(op, api.Unsupported, "this node's engine runs no residents")
	}
	it := newResident(n, engine, d, link, req)
	if err := n.residents.take(it); err != nil {
		return api.Resident{}, err
	}
	v, r, err := it.begin(ctx)
	if err == nil && !n.spawn(func() { it.run(v, r) }) {
		r.Stop()
		v.ended()
		err = api.Errorf(op, api.Closed, "the node is stopping; start it again and retry")
	}
	if err != nil {
		n.residents.drop(it)
		return api.Resident{}, err
	}
	n.emit("module:resident:v1:started", d.Hash.String(), map[string]string{"name": d.Manifest.Name})
	return it.info(), nil
}

// take enters a resident that is about to start, unless it runs.
func (t *residents) take(it *resident) error {
	const op = "node.modulestart"
	t.mu.Lock()
	defer t.mu.Unlock()
	name := it.desc.Manifest.Name
	if old := t.byHash[it.desc.Hash]; old != nil {
		if old.alive() {
			return api.Errorf(op, api.Exists, name+" runs already; inos module stop "+name+" ends it")
		}
		delete(t.byHash, it.desc.Hash)
	}
	for h, old := range t.byHash {
		if len(t.byHash) < maxResidents {
			break
		}
		if !old.alive() {
			delete(t.byHash, h)
		}
	}
	if len(t.byHash) >= maxResidents {
		return api.Errorf(op, api.Exhausted, "32 residents run; stop one")
	}
	t.byHash[it.desc.Hash] = it
	return nil
}

// drop forgets a resident that did not start.
func (t *residents) drop(it *resident) {
	it.finish(residentStopped, nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byHash[it.desc.Hash] == it {
		delete(t.byHash, it.desc.Hash)
	}
}

// ModuleStop stops a resident, or its restarts, and waits until it has given back
// its memory.
func (n *Node) ModuleStop(ctx context.Context, ref string) (api.Resident, error) {
	const op = "node.modulestop"
	d, _, err := n.modules.find(ctx, ref)
	if err != nil {
		return api.Resident{}, err
	}
	t := n.residents
	t.mu.Lock()
	it := t.byHash[d.Hash]
	t.mu.Unlock()
	if it == nil || !it.alive() {
		return api.Resident{}, api.Errorf(op, api.NotFound, fmt.Sprintf("%s does not run here; inos module ps lists what does", d.Manifest.Name))
	}
	it.cancel()
	select {
	case <-it.done:
		return it.info(), nil
	case <-ctx.Done():
		return api.Resident{}, api.E(op, api.KindOf(ctx.Err()), ctx.Err())
	}
}

// Residents lists the residents of this node by name, also those that ended.
func (n *Node) Residents(context.Context) ([]api.Resident, error) {
	t := n.residents
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]api.Resident, 0, len(t.byHash))
	for _, it := range t.byHash {
		out = append(out, it.info())
	}
	slices.SortFunc(out, func(a, b api.Resident) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// name adds the owners of the residents that run to owners, and counts them.
func (t *residents) name(owners map[arena.Owner]string) (running uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, it := range t.byHash {
		it.mu.Lock()
		if it.last != nil && it.state == residentRunning {
			owners[it.last.Owner()] = it.desc.Manifest.Name
			running++
		}
		it.mu.Unlock()
	}
	return running
}
