package wasm

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/module"
)

// BenchmarkInput gives a guest that reads every cache line its input in three ways.
func BenchmarkInput(b *testing.B) {
	for _, size := range []uint64{1 << 20, 4 << 20, 16 << 20} {
		l := newLending(b, 1, 1)
		loan, mem := l.span(b, size)
		c := call("sum")
		c.Limits = api.Limits{MemoryBytes: 128 << 20}
		w, err := l.module.Lend(context.Background(), loan)
		if err != nil {
			b.Fatal(err)
		}
		copied, lent := c, c
		copied.Input, lent.Loan = bytes.Clone(mem), &loan
		for _, way := range []struct {
			name string
			call func() (module.Result, error)
		}{
			{"copy", func() (module.Result, error) { return l.module.Call(context.Background(), copied) }},
			{"loan", func() (module.Result, error) { return l.module.Call(context.Background(), lent) }},
			{"standing", func() (module.Result, error) { return w.Call(context.Background(), c) }},
		} {
			b.Run(fmt.Sprintf("%dMiB/%s", size>>20, way.name), func(b *testing.B) {
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := way.call(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		_ = w.Close()
	}
}

// BenchmarkPipeline passes 64 MiB through three modules, in one loan and by copies.
func BenchmarkPipeline(b *testing.B) {
	const size = 64 << 20
	l := newLending(b, 2, 1)
	s, err := l.arena.Heap().Alloc(arena.KernelOwner, size)
	if err != nil {
		b.Fatal(err)
	}
	c := call("inc")
	c.Limits = api.Limits{MemoryBytes: 128 << 20, OutputBytes: size}
	b.Run("loan", func(b *testing.B) {
		b.SetBytes(size)
		step := module.Step{Module: l.module, Call: c}
		for b.Loop() {
			if _, err := module.Pipeline(context.Background(), module.Loan{Off: s.Off, Len: size, Write: true}, step, step, step); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("copies", func(b *testing.B) {
		b.SetBytes(size)
		in := bytes.Clone(l.arena.Heap().Bytes(s))
		for b.Loop() {
			c.Input = in
			for range 3 {
				res, err := l.module.Call(context.Background(), c)
				if err != nil {
					b.Fatal(err)
				}
				c.Input = res.Output
			}
		}
	})
}
