package node

import (
	"bytes"
	"encoding/json"
	"slices"

	"inos/kernel/api"
)

// Bounds and the guess of an estimate.
const (
	maxRuns = 32 // jobs looked at

	// What a job takes of which nothing is known: about what a thumbnail of a
	// picture takes, 176 Mgas for 12 megapixels (docs/rationale.md) and 45 for one of
	// 100 KB, so that what costs least is overestimated and not the rest under.
	guessGas     = 20_000_000
	guessPerByte = 64
)

// pastRun is what one job of a method took.
type pastRun struct {
	size uint64 // of its input, bytes
	gas  uint64
}

// lastRuns are this payer's last jobs of a spec's method that were done, the
// newest first: those with the same parameters, unless all tell more of the size.
func (n *Node) lastRuns(spec api.JobSpec) []pastRun {
	n.jobs.history.flush()
	var same, all []pastRun
	_ = n.meta.Iterate("job/", func(_ string, value []byte) bool {
		var j api.Job
		if json.Unmarshal(value, &j) == nil && j.State == api.JobDone && j.Spec.Module == spec.Module && j.Spec.Unit == spec.Unit && j.Spec.Method == spec.Method {
			r := pastRun{j.Input, j.Result.Gas}
			all = append(all, r)
			if bytes.Equal(j.Spec.Params, spec.Params) {
				same = append(same, r)
			}
		}
		return len(all) < maxRuns
	})
	if len(same) > 0 && (severalSizes(same) || !severalSizes(all)) {
		return same
	}
	return all
}

func severalSizes(runs []pastRun) bool {
	return slices.ContainsFunc(runs, func(r pastRun) bool { return r.size != runs[0].size })
}

// gasModel says what a method takes for an input: a fixed part and one by size,
// and at least so much.
type gasModel struct {
	fixed, perByte, least float64
	seen                  int // the jobs it is told from
}

// modelGas fits a line to runs by least squares. Neither part is below zero:
// where the line would have it so, the other part alone carries the mean. Runs of
// one size say nothing of the parts: larger inputs are taken to need more in
// proportion, but no more a byte than is guessed, and smaller ones as much.
func modelGas(runs []pastRun) gasModel {
	if len(runs) == 0 {
		return gasModel{fixed: guessGas, perByte: guessPerByte}
	}
	m := gasModel{seen: len(runs)}
	count := float64(len(runs))
	var size, gas float64 // means
	for _, r := range runs {
		size += float64(r.size) / count
		gas += float64(r.gas) / count
	}
	var spread, both float64
	for _, r := range runs {
		d := float64(r.size) - size
		spread += d * d
		both += d * (float64(r.gas) - gas)
	}
	switch {
	case size == 0:
		m.fixed = gas
	case spread == 0:
		m.perByte, m.least = min(gas/size, guessPerByte), gas
		m.fixed = gas - m.perByte*size
	default:
		m.perByte = min(max(0, both/spread), gas/size)
		m.fixed = gas - m.perByte*size
	}
	return m
}

// of is what one input takes.
func (m gasModel) of(size uint64) uint64 {
	return uint64(min(max(m.least, m.fixed+m.perByte*float64(size)), 1<<62))
}
