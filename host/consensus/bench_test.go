package consensus

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/ledger/ledgertest"
)

func benchLedger(b *testing.B, n int) (*Ledger, []api.Command) {
	w := ledgertest.NewWorld(b, func(mesh api.NodeID, _ func() int64) api.Ledger {
		return open(b, b.TempDir(), mesh, func() int64 { return ledgertest.Epoch })
	})
	commands := make([]api.Command, n)
	for i := range commands {
		commands[i] = []*ledgertest.Actor{w.A, w.B}[i%2].Command(w.Now(), api.Transfer{To: w.C.ID, Amount: 1})
	}
	return w.L.(*Ledger), commands
}

func BenchmarkSubmit1(b *testing.B) {
	l, commands := benchLedger(b, b.N)
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	for i, cmd := range commands {
		start := time.Now()
		if _, err := l.Submit(context.Background(), cmd); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
}

func BenchmarkSubmit16(b *testing.B) {
	l, commands := benchLedger(b, b.N)
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for i := c; i < len(commands); i += 16 {
				if _, err := l.Submit(context.Background(), commands[i]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}
