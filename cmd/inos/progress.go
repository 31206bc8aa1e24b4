package main

import (
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bar is a progress bar on a terminal, and nothing anywhere else. The nil bar
// is that nothing.
type bar struct {
	pool *mpb.Progress
	bar  *mpb.Bar
}

// newBar shows a bar for total bytes, or a spinner when total is 0.
func (a *app) newBar(name string, total uint64) *bar {
	if !a.errTTY || a.json || a.quiet {
		return nil
	}
	pool := mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(40), mpb.WithRefreshRate(100*time.Millisecond), mpb.WithAutoRefresh())
	front := mpb.PrependDecorators(decor.Name(printable(name), decor.WC{C: decor.DindentRight}))
	if total == 0 {
		b := pool.AddSpinner(0, mpb.BarRemoveOnComplete(), front, mpb.AppendDecorators(decor.CurrentKibiByte("% .1f")))
		return &bar{pool, b}
	}
	b := pool.AddBar(int64(total), mpb.BarRemoveOnComplete(), front, mpb.AppendDecorators(
		decor.CountersKibiByte("% .1f / % .1f"), decor.Name("  "),
		decor.AverageSpeed(decor.SizeB1024(0), "% .1f"), decor.Name("  "), decor.AverageETA(decor.ET_STYLE_GO),
	))
	return &bar{pool, b}
}

// set moves the bar to n bytes.
func (b *bar) set(n uint64) {
	if b != nil {
		b.bar.SetCurrent(int64(n))
	}
}

// Write counts bytes that pass by.
func (b *bar) Write(p []byte) (int, error) {
	if b != nil {
		b.bar.IncrBy(len(p))
	}
	return len(p), nil
}

// done removes the bar.
func (b *bar) done() {
	if b != nil {
		b.bar.Abort(true)
		b.pool.Wait()
	}
}
