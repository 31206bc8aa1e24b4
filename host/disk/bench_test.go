package disk

import (
	"context"
	"sync"
	"testing"

	"inos/kernel/api"
)

func BenchmarkDiskPut(b *testing.B) {
	for _, c := range []struct {
		name        string
		size, count int
		batch       int
	}{{"1MiB/batch16", 1 << 20, 256, 16}, {"1MiB/single", 1 << 20, 256, 1}, {"4KiB/batch256", 4096, 1024, 256}, {"4KiB/single", 4096, 1024, 1}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(c.size * c.count))
			n := uint64(0)
			for b.Loop() {
				b.StopTimer()
				s := open(b, b.TempDir(), Options{})
				blocks := make([]api.Block, c.count)
				for i := range blocks {
					n++
					blocks[i] = block(n, c.size)
				}
				b.StartTimer()
				var wg sync.WaitGroup
				gate := make(chan struct{}, 32)
				for lo := 0; lo < len(blocks); lo += c.batch {
					gate <- struct{}{}
					wg.Go(func() {
						defer func() { <-gate }()
						if err := s.Put(context.Background(), lease(1), blocks[lo:lo+c.batch]); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				_ = s.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(c.count)*float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
		})
	}
}

func BenchmarkDiskGet(b *testing.B) {
	for name, size := range map[string]int{"1MiB": 1 << 20, "4KiB": 4096} {
		b.Run(name, func(b *testing.B) {
			s := open(b, b.TempDir(), Options{NoSync: true})
			var blocks []api.Block
			for i := range 64 {
				blocks = append(blocks, block(uint64(i), size))
			}
			mustPut(b, s, lease(1), blocks...)
			buf := make([]byte, api.MaxBlock)
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				if _, err := s.Get(context.Background(), blocks[i%64].Addr, buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
