package bench

import (
	"context"

	"inos/bench/shmem"
	"inos/host/wasm"
	"inos/kernel/api"
)

// shared measures shared memory, each figure beside what a program would use
// instead.
func (s *suite) shared(ctx context.Context) error {
	n := 1
	if s.opt.Quick {
		n = 20
	}
	type side struct {
		name string // empty for ours
		fn   func() (float64, error)
	}
	plain := func(v float64) (float64, error) { return v, nil }
	for _, m := range []struct {
		row   Row
		scale float64
		sides []side
	}{
		{Row{Name: "ring, 64 B messages", Unit: "M/s", Target: 20}, 1e-6, []side{
			{"", func() (float64, error) { return shmem.Ring(ctx, 8_000_000/n) }},
			{"Go channel", func() (float64, error) { return plain(shmem.Channel(8_000_000 / n)) }},
		}},
		{Row{Name: "epoch advance, nobody waits", Unit: "ns", Target: 10, Less: true}, 1, []side{
			{"", func() (float64, error) { return plain(shmem.Advance(20_000_000 / n)) }},
			{"atomic add", func() (float64, error) { return plain(shmem.AtomicAdd(20_000_000 / n)) }},
		}},
		{Row{Name: "epoch wake in process, p50", Unit: "us", Target: 1, Less: true}, 1e-3, []side{
			{"", func() (float64, error) { return shmem.WakeHere(ctx, 40_000/n) }},
			{"Go channel", func() (float64, error) { return shmem.WakeChannel(40_000 / n) }},
		}},
		{Row{Name: "epoch wake across processes, p50", Unit: "us", Target: 5, Less: true}, 1e-3, []side{
			{"", func() (float64, error) { return shmem.WakeAcross(ctx, shmem.ByFutex, 10_000/n) }},
			{"pipe", func() (float64, error) { return shmem.WakeAcross(ctx, shmem.ByPipe, 10_000/n) }},
			{"Unix socket", func() (float64, error) { return shmem.WakeAcross(ctx, shmem.BySocket, 10_000/n) }},
		}},
	} {
		for i, side := range m.sides {
			values, err := s.repeat(func(int) (float64, error) {
				v, err := side.fn()
				return v * m.scale, err
			})
			switch {
			case api.KindOf(err) == api.Unsupported:
				continue
			case err != nil:
				return err
			case i == 0:
				s.add(m.row, values)
			default:
				s.compareWith(m.row.Name, side.name, values)
			}
		}
	}
	return s.twin(n)
}

// twin is the speed of the twin's copies as a share of memcpy's, in turns.
func (s *suite) twin(n int) error {
	share, err := s.repeat(func(int) (float64, error) {
		v, err := shmem.TwinSync(4000 / n)
		return v / shmem.Memcpy(4000/n), err
	})
	if err != nil {
		return err
	}
	s.add(Row{Name: "twin sync of 1 MiB, share of memcpy", Unit: "of 1", Target: 0.8}, share)
	return nil
}

// instances is how many idle instances of a small module fit in 1 GiB.
func (s *suite) instances(ctx context.Context) error {
	e, m, err := loaded(ctx, wasm.Config{}, "diagnostics")
	if err != nil {
		return err
	}
	defer e.Close()
	count := 10_000
	if s.opt.Quick {
		count = 500
	}
	fit, err := s.repeat(func(int) (float64, error) {
		release, err := m.(*wasm.Module).Prewarm(ctx, count/10) // the engine's own share
		if err != nil {
			return 0, err
		}
		before := ownRSS()
		release()
		if release, err = m.(*wasm.Module).Prewarm(ctx, count/10+count); err != nil {
			return 0, err
		}
		defer release()
		return float64(1<<30) / (float64(ownRSS()-before) / float64(count)), nil
	})
	if err != nil {
		return err
	}
	s.add(Row{Name: "idle instances of a small module in 1 GiB", Unit: "", Target: 10_000}, fit)
	return nil
}
