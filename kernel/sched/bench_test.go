package sched

import (
	"testing"

	"inos/kernel/api"
)

// BenchmarkJobs takes jobs from submission to settlement on 8 paid workers; a
// job costs about three steps: its share of the commands, its result, and its
// share of the answers.
func BenchmarkJobs(b *testing.B) {
	m, err := New(Config{Self: nodeID(0)})
	if err != nil {
		b.Fatal(err)
	}
	var todo []Event
	for i := 1; i < 9; i++ {
		todo = append(todo, WorkerUpdate{Node: nodeID(i), Online: true, Workers: 4, Price: api.Credit})
	}
	const batch = 10_000
	steps, now, seq, done := 0, int64(1), uint64(0), 0
	b.ResetTimer()
	for submitted := 0; done < b.N; {
		if len(todo) == 0 {
			n := min(batch, b.N-submitted)
			jobs := make([]Job, n)
			for i := range jobs {
				submitted++
				jobs[i].Spec.ID = jobID(submitted)
			}
			todo = append(todo, Submit{Batch: batchID(submitted), Jobs: jobs})
		}
		ev := todo[0]
		todo = todo[1:]
		steps++
		for _, e := range m.Step(now, ev) {
			switch e := e.(type) {
			case Quote:
				todo = append(todo, WorkerUpdate{Node: e.Node, Online: true, Workers: 4, Price: api.Credit, Quoted: true, ValidTill: now + 1_000_000})
			case OpenEscrow:
				todo = append(todo, EscrowOpened{e.Command, seq + 1})
				seq += uint64(len(e.Escrows))
			case Dispatch:
				todo = append(todo, Finished{e.Attempt, api.JobResult{ID: e.Spec.ID, Worker: e.To, Escrow: e.Escrow.Seq, Gas: 1, RunUS: 500}})
			case Settle:
				todo = append(todo, Closed{e.Command})
			case JobChanged:
				if e.State.Final() {
					done++
				}
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
}
