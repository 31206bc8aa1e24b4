//go:build !linux

package wasm

import (
	"inos/kernel/api"
	"inos/kernel/module"
)

// show copies what t lends to byte at of the guest's memory, where mapping needs
// a system that replaces a mapping in one step.
func (g *guestMemory) show(t *lent, at uint64, arena Shared, res *module.Result) error {
	size := t.loan.End() - t.loan.Off
	copyInPieces(g.bytes(g.size)[at:], arena.Bytes()[t.loan.Off:][:t.loan.Len])
	clear(g.mem[at+t.loan.Len : at+size])
	res.Moved += t.loan.Len
	g.noteCopy(t, at, size)
	if t.gone.Load() {
		return api.Errorf("wasm.lend", api.Closed, "the loan was revoked")
	}
	return nil
}

func (g *guestMemory) unmap() error { return nil }

func (g *guestMemory) restoreAround(used uint64) error { return g.restore(0, used) }
