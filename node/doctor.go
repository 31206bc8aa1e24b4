package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
)

// hints say what to do about what the doctor found, in words for where the node
// runs: advice is this program's.
type hints struct {
	disk, alone, away, clone, copies, reinstall, log string

	quarantined func(module string) string
}

// Doctor checks what commonly goes wrong.
func (n *Node) Doctor(ctx context.Context) ([]api.Check, error) {
	checks := []api.Check{n.checkDisk(), n.checkQuarantine(), n.checkPeers(), n.checkClones(), n.checkClock(), n.checkLedger(ctx), n.checkCopies(), n.checkSupervisors()}
	return append(checks, n.checkEngine(ctx)), nil
}

func check(name string, state api.CheckState, fix, format string, args ...any) api.Check {
	return api.Check{Name: name, State: state, Detail: fmt.Sprintf(format, args...), Fix: fix}
}

// shortTime renders how long a check took.
func shortTime(d time.Duration) string {
	if d < time.Millisecond {
		return "under 1 ms"
	}
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

func (n *Node) checkDisk() api.Check {
	u := n.store.Usage()
	switch {
	case u.Free < 64<<20:
		return check("disk", api.CheckFail, advice.disk+"; until then writes fail and reads go on", "%d MiB free", u.Free>>20)
	case u.Free < 1<<30:
		return check("disk", api.CheckWarn, advice.disk, "%d MiB free", u.Free>>20)
	}
	return check("disk", api.CheckOK, "", "%.1f GiB free, %s kept", float64(u.Free)/api.GiB, plural(u.Blocks, "block"))
}

func (n *Node) checkQuarantine() api.Check {
	if q := n.store.Usage().Quarantined; q > 0 {
		return check("blocks", api.CheckWarn, "check this disk's health; what was damaged is repaired from other nodes", "%s found damaged and set aside", plural(q, "block"))
	}
	return check("blocks", api.CheckOK, "", "no damaged block was found")
}

// checkPeers counts the members that the mesh still has: not those revoked.
func (n *Node) checkPeers() api.Check {
	if why := n.refusedText(); why != "" {
		return check("mesh", api.CheckFail, rejoin, "%s", strings.TrimSuffix(why, "; "+rejoin))
	}
	online, known := 0, 0
	for _, p := range n.peerRows() {
		if p.Self || p.Roles == api.Edge && !p.Online { // a tab that is closed is missed by nobody
			continue
		}
		if known++; p.Online {
			online++
		}
	}
	switch {
	case known <= 0:
		return check("mesh", api.CheckWarn, advice.alone, "this node is alone: data has one copy")
	case online == 0:
		return check("mesh", api.CheckFail, "check the network, and that the other nodes run", "no other member is reachable, of %d", known)
	case online < known:
		return check("mesh", api.CheckWarn, advice.away, "%d of %s reachable", online, plural(uint64(known), "other member"))
	case known == 1:
		return check("mesh", api.CheckOK, "", "the other member is reachable")
	}
	return check("mesh", api.CheckOK, "", "all %d other members are reachable", known)
}

func (n *Node) checkClones() api.Check {
	if s := n.net.Stats().SameKey; s > 0 {
		return check("identity", api.CheckFail, advice.clone, "another node uses this node's key (seen %s)", plural(s, "time"))
	}
	return check("identity", api.CheckOK, "", "%s", n.id.ID())
}

func (n *Node) checkClock() api.Check {
	if year := time.Now().Year(); year < 2025 {
		return check("clock", api.CheckFail, "set the clock; memberships and payments depend on it", "the year is %d", year)
	}
	return check("clock", api.CheckOK, "", "%s", time.Now().UTC().Format(time.RFC3339))
}

func (n *Node) checkLedger(ctx context.Context) api.Check {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	start := time.Now()
	t, err := n.books.Totals(ctx)
	if err != nil {
		return check("ledger", api.CheckFail, "start the seed of the mesh", "%s", messageOf(err))
	}
	sum := t.Treasury + t.Nodes + t.Escrowed
	if sum != t.Supply {
		return check("ledger", api.CheckFail, "report this: the ledger must never do this", "the accounts add up to %s, the genesis was %s", sum, t.Supply)
	}
	return check("ledger", api.CheckOK, "", "the balances of the treasury, %s and escrow add up to the genesis of %s credits; answered in %s",
		plural(uint64(t.Accounts), "node"), t.Supply, shortTime(time.Since(start)))
}

func (n *Node) checkCopies() api.Check {
	n.coord.sessions.Lock()
	under := n.coord.repair.UnderReplicated
	n.coord.sessions.Unlock()
	if under > 0 {
		return check("copies", api.CheckWarn, advice.copies, "%s below the copies wanted", plural(under, "block"))
	}
	return check("copies", api.CheckOK, "", "every block that was looked at has its copies")
}

func (n *Node) checkSupervisors() api.Check {
	if names := n.worker.supervisors.quarantined(); len(names) > 0 {
		return check("supervision", api.CheckWarn, advice.quarantined(names[0]),
			"%d modules are quarantined: %s", len(names), strings.Join(names[:min(len(names), 8)], " "))
	}
	return check("supervision", api.CheckOK, "", "no module is quarantined")
}

// Bounds of the doctor's own call of a module.
const (
	engineCheckTime = 10 * time.Second // with loading the module and waiting for a worker
	engineCheckWall = 2_000            // ms in the guest
)

// checkEngine calls a module that does nothing. It is no job: the owner's
// history, events and supervisors see nothing of it.
func (n *Node) checkEngine(ctx context.Context) api.Check {
	ctx, cancel := context.WithTimeout(ctx, engineCheckTime)
	defer cancel()
	start := time.Now()
	d, err := n.modules.builtin(ctx, "diagnostics")
	if err != nil {
		return check("modules", api.CheckFail, advice.reinstall, "%s", messageOf(err))
	}
	switch err := n.tryEngine(ctx, d); {
	case err == nil:
		return check("modules", api.CheckOK, "", "a module ran %s in %s", n.engineText(), shortTime(time.Since(start)))
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && n.worker.load() >= n.cfg.Workers:
		return check("modules", api.CheckWarn, "check again when its jobs are done", "no module was tried: every worker of this node is busy")
	default:
		return check("modules", api.CheckFail, advice.log, "%s", messageOf(err))
	}
}

// tryEngine makes one small call of the diagnostics module.
func (n *Node) tryEngine(ctx context.Context, d *module.Description) error {
	if err := n.enter(); err != nil {
		return err
	}
	defer n.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.work, cancel)()
	m, err := n.worker.module(ctx, api.JobSpec{Module: d.Hash})
	if err != nil {
		return err
	}
	_, err = m.Call(ctx, module.Call{
		Unit: "echo", Method: "noop",
		Limits: api.Limits{Gas: api.Ggas / 100, MemoryBytes: 16 << 20, OutputBytes: 1 << 10, WallMS: engineCheckWall},
	})
	return err
}
