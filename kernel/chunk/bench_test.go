package chunk_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"inos/kernel/api"
	"inos/kernel/chunk"
	"inos/kernel/chunk/chunktest"
)

func discard(context.Context, api.Block) error { return nil }

func benchBuild(b *testing.B, fill func(uint64, []byte)) {
	data := make([]byte, 256<<20)
	fill(1, data)
	b.SetBytes(int64(len(data)))
	var wire uint64
	for b.Loop() {
		r, err := chunk.BuildFile(b.Context(), chunk.Options{Namespace: key}, discard, "", bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		wire = r.Wire
	}
	b.ReportMetric(float64(len(data))/float64(wire), "ratio")
}

func BenchmarkBuildRandom256(b *testing.B) { benchBuild(b, chunktest.Random) }
func BenchmarkBuildText(b *testing.B)      { benchBuild(b, chunktest.Text) }

func BenchmarkBuildSmallFiles(b *testing.B) {
	data := make([]byte, 1000*4096)
	chunktest.Random(1, data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		bd := chunk.NewBuilder(b.Context(), chunk.Options{Namespace: key}, discard)
		for i := range 1000 {
			if err := bd.AddFile(b.Context(), fmt.Sprint(i), 0o644, 0, bytes.NewReader(data[i*4096:][:4096])); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := bd.Finish(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "files/s")
}

func BenchmarkReadRandom64(b *testing.B) { benchRead(b, chunktest.Random) }
func BenchmarkReadText64(b *testing.B)   { benchRead(b, chunktest.Text) }

func benchRead(b *testing.B, fill func(uint64, []byte)) {
	data, s := make([]byte, 64<<20), chunktest.NewStore()
	fill(1, data)
	r := buildFile(b, s, chunk.Options{Namespace: key}, data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		o, err := chunk.Open(b.Context(), r.Link, s)
		if err != nil {
			b.Fatal(err)
		}
		e, _ := o.File()
		if err := o.ReadFile(b.Context(), e, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
