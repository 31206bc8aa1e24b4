//go:build js

package webwasm

import (
	"syscall/js"

	"inos/kernel/api"
	"inos/kernel/module/guest"
)

// stops are the codes that workers give (frontend/src/tab/guest/stop.ts).
var stops = map[string]guest.Stop{
	"OutOfGas": guest.OutOfGas, "TooDeep": guest.TooDeep, "TableFull": guest.TableFull, "OverMemory": guest.OverMemory,
	"OverNode": guest.OverNode, "SmallStack": guest.SmallStack, "OverTime": guest.OverTime, "Rested": guest.Rested, "Canceled": guest.Canceled,
	"Stopping": guest.Stopping, "Exited": guest.Exited, "BadLog": guest.BadLog, "BadSyscall": guest.BadSyscall,
	"EarlySyscall": guest.EarlySyscall, "BadEpoch": guest.BadEpoch, "NoRoom": guest.NoRoom, "NoWindow": guest.NoWindow,
	"SmallLimit": guest.SmallLimit, "NoSyscalls": guest.NoSyscalls, "BadAlloc": guest.BadAlloc, "BadWindow": guest.BadWindow,
}

// stopOf is why a worker says that a guest is at its end.
func stopOf(m js.Value) guest.Stop {
	code, text := m.Get("code").String(), m.Get("text").String()
	if s, ok := stops[code]; ok {
		if start := m.Get("start"); start.Truthy() && s == guest.OverTime {
			return guest.SlowStart
		}
		return s
	}
	switch code {
	case "memory":
		return guest.Stop{Kind: api.Unavailable, Msg: "this node cannot get memory for the guest: " + text}
	case "tab":
		return guest.Stop{Kind: api.Unavailable, Msg: "this tab cannot run the threads of the module: " + text}
	case "invalid":
		return guest.Stop{Kind: api.Invalid, Msg: text}
	}
	var frames []string
	if list := m.Get("frames"); list.Truthy() { // residents name none
		for i := range list.Length() {
			frames = append(frames, list.Index(i).String())
		}
	}
	return guest.Trap(text, frames)
}
