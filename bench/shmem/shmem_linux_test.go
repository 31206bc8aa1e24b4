package shmem

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if Child() {
		return
	}
	os.Exit(m.Run())
}

// Every measurement runs and gives a figure that can be one.
func TestMeasurements(t *testing.T) {
	ctx := t.Context()
	for name, measure := range map[string]func() (float64, error){
		"ring":         func() (float64, error) { return Ring(ctx, 10_000) },
		"channel":      func() (float64, error) { return Channel(10_000), nil },
		"advance":      func() (float64, error) { return Advance(10_000), nil },
		"atomic":       func() (float64, error) { return AtomicAdd(10_000), nil },
		"wake":         func() (float64, error) { return WakeHere(ctx, 200) },
		"wake channel": func() (float64, error) { return WakeChannel(200) },
		"futex":        func() (float64, error) { return WakeAcross(ctx, ByFutex, 200) },
		"pipe":         func() (float64, error) { return WakeAcross(ctx, ByPipe, 200) },
		"socket":       func() (float64, error) { return WakeAcross(ctx, BySocket, 200) },
		"twin":         func() (float64, error) { return TwinSync(10) },
		"memcpy":       func() (float64, error) { return Memcpy(10), nil },
	} {
		if v, err := measure(); err != nil || v <= 0 {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

// BenchmarkRing64 reports millions of messages per second.
func BenchmarkRing64(b *testing.B) {
	b.Run("ring", func(b *testing.B) {
		v, err := Ring(b.Context(), max(b.N, 1000))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(v/1e6, "M/s")
	})
	b.Run("channel", func(b *testing.B) { b.ReportMetric(Channel(max(b.N, 1000))/1e6, "M/s") })
}

func BenchmarkAdvance(b *testing.B) {
	b.Run("epoch", func(b *testing.B) { b.ReportMetric(Advance(b.N), "ns/advance") })
	b.Run("atomic", func(b *testing.B) { b.ReportMetric(AtomicAdd(b.N), "ns/advance") })
}

func BenchmarkWake(b *testing.B) {
	for name, measure := range map[string]func(int) (float64, error){
		"here/epoch":    func(n int) (float64, error) { return WakeHere(b.Context(), n) },
		"here/channel":  WakeChannel,
		"across/epoch":  func(n int) (float64, error) { return WakeAcross(b.Context(), ByFutex, n) },
		"across/pipe":   func(n int) (float64, error) { return WakeAcross(b.Context(), ByPipe, n) },
		"across/socket": func(n int) (float64, error) { return WakeAcross(b.Context(), BySocket, n) },
	} {
		b.Run(name, func(b *testing.B) {
			v, err := measure(max(b.N, 100))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(v/1000, "p50-us")
		})
	}
}

func BenchmarkTwin1MiB(b *testing.B) {
	b.Run("sync", func(b *testing.B) {
		v, err := TwinSync(max(b.N, 10))
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(v/1e9, "GB/s")
	})
	b.Run("memcpy", func(b *testing.B) { b.ReportMetric(Memcpy(max(b.N, 10))/1e9, "GB/s") })
}
