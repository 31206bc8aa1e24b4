package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

func (a *app) moduleShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME|HASH", Short: "Show how the node supervises a module: state, crashes, calls, gas", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := c.ModuleReport(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(r, func() { a.moduleReport(r) })
		}),
	}
}

func (a *app) moduleResetCmd() *cobra.Command {
	return &cobra.Command{
		Use: "reset NAME|HASH", Short: "End a module's quarantine on the node and forget its crashes", Args: cobra.ExactArgs(1),
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			r, err := c.ModuleReset(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(r, func() { a.moduleReport(r) })
		}),
	}
}

// stateColours tell the states of a supervisor apart.
var stateColours = map[string]colour{"healthy": green, "degraded": yellow, "quarantined": red, "idle": dim, "starting": dim}

// moduleReport prints a report for people; what did not happen is left out.
func (a *app) moduleReport(r api.ModuleReport) {
	name := r.Module.Name
	if r.Module.Version != "" {
		name += "@" + r.Module.Version
	}
	if name == "" {
		name = r.Module.Hash.Short()
	}
	state := a.paint(a.outTTY, stateColours[r.State], printable(r.State))
	if r.Since > 0 {
		state += " since " + a.ago(r.Since)
	} else {
		state += ", not called since the node started"
	}
	a.fields(
		"module", a.paint(a.outTTY, bold, printable(name))+"  "+r.Module.Hash.String(),
		"about", printable(r.Module.Description), "kind", moduleTraits(r.Module),
		"limits", moduleLimits(r.Module.Limits), "syscalls", printable(strings.Join(r.Module.Syscalls, " ")),
		"state", state, "last crash", a.lastCrash(r), "next start", a.nextStart(r.Retry),
		"calls", reportCalls(r), "gas", gasText(r.Gas), "refused", deniedText(r.Denied), "asked by", askedText(r.Payers), "kept out", a.keptOutText(r.KeptOut),
	)
	if r.State == "quarantined" {
		_, _ = fmt.Fprintf(a.stdout, "\nNobody can call it here. When it is sound: inos module reset %s\n", printable(name))
	}
}

func (a *app) lastCrash(r api.ModuleReport) string {
	if r.Crashed == 0 {
		return printable(r.Reason) // of a quarantine from before the node's start
	}
	text := a.ago(r.Crashed) + ", " + count(r.Restarts, "restart") + ", " + strconv.Itoa(r.Crashes) + " in a row"
	return text + ": " + printable(r.Reason)
}

func (a *app) nextStart(retry int64) string {
	if d := time.UnixMilli(retry).Sub(a.now()); d > 0 {
		return "in " + durationText(d.Truncate(time.Millisecond))
	}
	return ""
}

func reportCalls(r api.ModuleReport) string {
	parts := []string{fmt.Sprintf("%d done", r.Calls)}
	for _, p := range []struct {
		n    uint64
		what string
	}{{uint64(r.Running), "running"}, {uint64(r.Queued), "queued"}, {r.Turned, "turned away"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// deniedText lists refused syscalls by kind.
func deniedText(denied map[string]uint64) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(denied)) {
		if denied[kind] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", printable(kind), denied[kind]))
		}
	}
	return strings.Join(parts, ", ")
}

// maxAsked bounds the payers that are shown; --json has all.
const maxAsked = 8

// askedText lists for whom a module made system calls, and what that cost.
func askedText(payers []api.SyscallPayer) string {
	var parts []string
	for _, p := range payers[:min(len(payers), maxAsked)] {
		name := p.Name
		if name == "" {
			name = p.Payer.Short()
		}
		text := fmt.Sprintf("%s %d served", printable(name), p.Served)
		if p.Refused > 0 {
			text += fmt.Sprintf(", %d refused", p.Refused)
		}
		if p.Spent > 0 {
			text += ", " + p.Spent.String() + " credits spent and " + p.Left.String() + " left today"
		}
		parts = append(parts, text)
	}
	if more := len(payers) - maxAsked; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, "; ")
}

func (a *app) keptOutText(payers []api.KeptOut) string {
	var parts []string
	for _, p := range payers {
		name := p.Name
		if name == "" {
			name = p.Payer.Short()
		}
		if d := time.UnixMilli(p.Until).Sub(a.now()); d > 0 {
			parts = append(parts, printable(name)+" for "+durationText(d.Truncate(time.Second)))
		}
	}
	return strings.Join(parts, ", ")
}
