package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

// watchEvery is how often --watch asks. The map is made for people's eyes, who
// see no faster; programs attach and sleep on epochs instead.
const watchEvery = time.Second

func (a *app) arenaCmd() *cobra.Command {
	var watch, all bool
	cmd := &cobra.Command{
		Use: "arena", Short: "Show the node's shared memory: regions, epochs, rings, owners", Args: cobra.NoArgs,
		Long: `Show the live map of the node's shared memory: its heap and who holds it, the regions
and how much of each is in use, epoch cells and who waits on them, rings, named states, and
the processes attached to it. Tables with nothing in them are left out.

--watch shows it again every second, with --json one line each, until Ctrl-C.`,
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if watch {
				return a.watchArena(cmd.Context(), c, all)
			}
			m, err := c.Arena(cmd.Context())
			if err != nil {
				return err
			}
			return a.show(m, func() { a.arenaMap(m, all) })
		}),
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second until Ctrl-C")
	cmd.Flags().BoolVar(&all, "all", false, "regions and epoch cells that nobody uses, too")
	return cmd
}

func (a *app) watchArena(ctx context.Context, c *client.Client, all bool) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		m, err := c.Arena(ctx)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how one stops watching
		}
		if err != nil {
			return err
		}
		if a.json {
			if err := a.line(m); err != nil {
				return err
			}
		} else {
			if a.outTTY {
				_, _ = io.WriteString(a.stdout, "\x1b[H\x1b[2J")
			}
			a.arenaMap(m, all)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// arenaMap prints m within 80 columns.
func (a *app) arenaMap(m api.ArenaMap, all bool) {
	h := m.Heap
	a.fields(
		"arena", fmt.Sprintf("%s, %s, layout version %d", a.paint(a.outTTY, bold, m.Tier), bytesText(m.Size), m.Version),
		"attach", dash(printable(m.Socket)),
		"heap", fmt.Sprintf("%s %s of %s, peak %s", a.bar(h.Used, h.Size, 24), bytesText(h.Used), bytesText(h.Size), bytesText(h.Peak)),
		"free", fmt.Sprintf("%s in %s, the largest %s", bytesText(h.Free), count(h.Blocks, "block"), bytesText(h.Largest)),
		"lent", fmt.Sprintf("%s of %s to %s", bytesText(m.Lent), bytesText(m.Most), processCount(len(m.Leases))),
		"faults", a.faults(h),
	)
	a.section(a.leaseTable(m))
	a.section(ownerTable(m))
	a.section(stateTable(m))
	a.section(a.ringTable(m))
	a.section(a.epochTable(m, all))
	a.section(a.regionTable(m, all))
}

// section prints a table that has rows, behind an empty line.
func (a *app) section(t table) {
	if len(t.rows) > 0 {
		_, _ = io.WriteString(a.stdout, "\n")
		a.print(t)
	}
}

// bar draws part of whole as width cells.
func (a *app) bar(part, whole uint64, width int) string {
	full := 0
	if whole > 0 {
		full = int((min(part, whole)*uint64(width) + whole - 1) / whole)
	}
	c := green
	switch {
	case full*10 > width*9:
		c = red
	case full*10 > width*7:
		c = yellow
	}
	return a.paint(a.outTTY, c, strings.Repeat("█", full)) + a.paint(a.outTTY, dim, strings.Repeat("░", width-full))
}

func processCount(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprint(n, " processes")
}

func (a *app) faults(h api.ArenaHeap) string {
	f := h.Faults
	if f == (api.ArenaFaults{}) && h.Denied == 0 {
		return "none"
	}
	var parts []string
	for _, p := range []struct {
		n    uint64
		text string
	}{
		{h.Denied, "refused"}, {f.Twice, "freed twice"}, {f.Foreign, "freed by others"}, {f.Stray, "stray frees"}, {f.Leaks, "leaks"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprint(p.n, " ", p.text))
		}
	}
	text := strings.Join(parts, ", ")
	if f.Leaked > 0 {
		text += " of " + bytesText(f.Leaked) + ", reclaimed"
	}
	return a.paint(a.outTTY, yellow, text)
}

func (a *app) leaseTable(m api.ArenaMap) table {
	t := table{head: []string{"LEASE", "PROCESS", "PID", "ROLE", "WATCHES", "REGIONS", "MEMORY", "ATTACHED"}, right: map[int]bool{0: true, 2: true, 4: true, 5: true, 6: true}}
	for _, l := range m.Leases {
		t.rows = append(t.rows, []string{
			fmt.Sprint(l.Lease), shorten(l.Name, 20), fmt.Sprint(l.PID), l.Role, fmt.Sprint(l.Watches), fmt.Sprint(l.Regions), bytesText(l.Bytes), a.ago(l.Since),
		})
	}
	return t
}

func ownerTable(m api.ArenaMap) table {
	t := table{head: []string{"OWNER", "", "HEAP", "SPANS", "PEAK", "LIMIT", "REFUSED"}, right: map[int]bool{0: true, 2: true, 3: true, 4: true, 5: true, 6: true}}
	for _, o := range m.Heap.Owners {
		limit := "-"
		if o.Limit > 0 {
			limit = bytesText(o.Limit)
		}
		t.rows = append(t.rows, []string{
			fmt.Sprint(o.Owner), shorten(o.Name, 24), bytesText(o.Bytes), fmt.Sprint(o.Spans), bytesText(o.Peak), limit, fmt.Sprint(o.Denied),
		})
	}
	return t
}

func stateTable(m api.ArenaMap) table {
	t := table{head: []string{"STATE", "VERSION", "BYTES", "MOST", "OWNER", "WHERE"}, right: map[int]bool{1: true, 2: true, 3: true}}
	names := map[uint32]string{}
	for _, o := range m.Heap.Owners {
		names[o.Owner] = o.Name
	}
	for _, s := range m.States {
		where := fmt.Sprintf("%#x", s.Offset)
		if s.Region != 0 {
			where = fmt.Sprint("region ", s.Region)
		}
		t.rows = append(t.rows, []string{shorten(s.Name, 30), fmt.Sprint(s.Version), bytesText(s.Bytes), bytesText(s.Most), shorten(cmp.Or(names[s.Owner], fmt.Sprint(s.Owner)), 16), where})
	}
	return t
}

func (a *app) ringTable(m api.ArenaMap) table {
	t := table{head: []string{"RING", "FILL", "", "CAPACITY", "GENERATION", "WRITER", "READER"}, right: map[int]bool{2: true, 3: true, 4: true, 5: true, 6: true}}
	for _, r := range m.Rings {
		t.rows = append(t.rows, []string{
			shorten(r.Name, 22), plainBar(r.Used, r.Capacity, 10), bytesText(uint64(r.Used)), bytesText(uint64(r.Capacity)), fmt.Sprint(r.Generation), leaseText(r.Writer), leaseText(r.Reader),
		})
	}
	return t
}

func leaseText(lease uint32) string {
	if lease == 0 {
		return "-"
	}
	return fmt.Sprint("lease ", lease)
}

func plainBar(part, whole uint32, width int) string {
	full := 0
	if whole > 0 {
		full = int((uint64(min(part, whole))*uint64(width) + uint64(whole) - 1) / uint64(whole))
	}
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

func (a *app) epochTable(m api.ArenaMap, all bool) table {
	t := table{head: []string{"EPOCH", "", "VALUE", "WAITING", "ASLEEP"}, right: map[int]bool{0: true, 2: true, 3: true, 4: true}}
	for _, e := range m.Epochs {
		if all || e.Value != 0 || e.Waiting != 0 || e.Asleep != 0 {
			t.rows = append(t.rows, []string{fmt.Sprint(e.Index), dash(e.Name), fmt.Sprint(e.Value), fmt.Sprint(e.Waiting), fmt.Sprint(e.Asleep)})
		}
	}
	return t
}

func (a *app) regionTable(m api.ArenaMap, all bool) table {
	t := table{head: []string{"REGION", "OFFSET", "SIZE", "USED", "OWNER", ""}, right: map[int]bool{1: true, 2: true, 3: true}}
	for _, r := range m.Regions {
		if !all && r.Used == 0 {
			continue
		}
		used := bytesText(r.Used)
		if r.Count > 1 {
			used = fmt.Sprintf("%d/%d", r.Used, r.Count)
		} else if r.Count == 1 && r.Used == 1 {
			used = "-"
		}
		t.rows = append(t.rows, []string{r.Name, fmt.Sprintf("%#x", r.Offset), bytesText(r.Size), used, r.Owner, shorten(r.Doc, 25)})
	}
	return t
}

// shorten makes text of at most n characters that a terminal may show.
func shorten(s string, n int) string {
	r := []rune(printable(s))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}
