//go:build !js

package node

import (
	"path/filepath"

	"inos/host/shm"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/epoch"
)

// arenaSocket is the attach socket in the data folder.
const arenaSocket = "arena.sock"

// arenaRegion is the arena's memory.
type arenaRegion struct{ *shm.Region }

// arenaLender lends it to other processes.
type arenaLender = shm.Lender

func openRegion(size uint64) (*arenaRegion, error) {
	r, err := shm.Create(size)
	return &arenaRegion{r}, err
}

// waker is what wakes other processes that map the arena.
func (r *arenaRegion) waker() epoch.Futex { return shm.Waker() }

// discard gives memory back to the system: a help, so an error changes nothing.
func (r *arenaRegion) discard(s arena.Span) { _ = r.Discard(s.Off, s.Len) }

// lendArena lets other processes of the same user attach. A node works without:
// where the system or the path does not allow it, the log says why.
func (n *Node) lendArena() {
	socket := filepath.Join(n.cfg.Dir, arenaSocket)
	l, err := shm.Lend(shm.LenderConfig{Socket: socket, Region: n.memory.region.Region, Arena: n.memory.arena, Note: n.noteLease})
	if err != nil {
		n.cfg.Log("other processes cannot attach to the arena: %v", err)
		return
	}
	n.memory.lender, n.memory.socket = l, socket
}

func (m *memory) stopLending() error {
	if m.lender == nil {
		return nil
	}
	return m.lender.Close()
}

// noteLease counts and announces what happens to leases.
func (n *Node) noteLease(e shm.Notice) {
	switch e.Event {
	case "attached":
		n.metrics.leases.Add(1)
	case "ended":
		n.metrics.leasesEnded.Add(1)
		n.metrics.leaseBytes.Add(e.Reclaimed)
	default:
		n.metrics.leasesRefused.Add(1)
		n.cfg.Log("process %d was refused shared memory: %v", e.Lease.PID, e.Err)
	}
	n.emit("arena:lease:v1:"+e.Event, e.Lease.Name, map[string]any{
		"lease": e.Lease.Lease, "pid": e.Lease.PID, "role": e.Lease.Role.String(), "reclaimed": e.Reclaimed,
	})
}

// leaseMetrics writes what the lender counts.
func (m *memory) leaseMetrics(line func(name, kind string, value any)) {
	if m.lender != nil {
		line("inos_leases", "gauge", len(m.lender.Leases()))
	}
}

// describeLeases adds what is lent to the map, and the leases' owners by name.
func (m *memory) describeLeases(to *api.ArenaMap, owners map[arena.Owner]string) {
	if m.lender == nil {
		return
	}
	for _, l := range m.lender.Leases() {
		owners[l.Owner] = l.Name
		to.Leases = append(to.Leases, api.ArenaLease{
			Lease: l.Lease, Owner: uint32(l.Owner), PID: l.PID, Name: l.Name, Role: l.Role.String(),
			Since: l.Since.UnixMilli(), Watches: l.Watches, Regions: l.Regions, Bytes: l.Bytes,
		})
	}
	for _, r := range m.lender.Regions() {
		to.Lent += r.Bytes
		if r.Kind == "ring" {
			to.Rings = append(to.Rings, api.ArenaRing{
				Name: r.Name, Generation: r.Ring.Generation, Capacity: r.Ring.Capacity, Used: r.Ring.Used,
				MaxMessage: r.Ring.MaxMessage, Writer: r.Ends[0], Reader: r.Ends[1],
			})
		}
	}
}
