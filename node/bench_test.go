//go:build !js

package node

import (
	"bytes"
	"io"
	"testing"

	"inos/kernel/api"
)

// BenchmarkPut stores 64 MiB of random bytes on one node, sealed and synced.
func BenchmarkPut(b *testing.B) {
	n := start(b, Config{Dir: b.TempDir(), Name: "a"})
	const size = 256 << 20
	b.SetBytes(size)
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		data := randomBytes(int64(i), size)
		b.StartTimer()
		obj := put(b, n, "f", data, api.Policy{Copies: 1})
		b.StopTimer()
		if err := n.Remove(b.Context(), obj.Link); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkGet reads 64 MiB from another node that holds all of it.
func BenchmarkGet(b *testing.B) {
	a := start(b, Config{Dir: b.TempDir(), Name: "a"})
	const size = 64 << 20
	obj := put(b, a, "f", randomBytes(1, size), api.Policy{Copies: 1})
	c := join(b, a, Config{Dir: b.TempDir(), Name: "c"})
	waitOnline(b, a, c)
	b.SetBytes(size)
	for b.Loop() {
		err := c.Get(b.Context(), api.GetRequest{Link: obj.Link}, func(api.FileInfo) (io.Writer, error) { return io.Discard, nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNoopJob runs a method that does nothing on this node.
func BenchmarkNoopJob(b *testing.B) {
	n := start(b, Config{Dir: b.TempDir(), Name: "a"})
	for b.Loop() {
		err := n.Run(b.Context(), api.RunRequest{Module: "diagnostics", Unit: "echo", Method: "noop"}, func(api.Job) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSmallPut stores 1 KiB, alone and acknowledged.
func BenchmarkSmallPut(b *testing.B) {
	n := start(b, Config{Dir: b.TempDir(), Name: "a"})
	for i := 0; b.Loop(); i++ {
		_, err := n.Put(b.Context(), api.PutRequest{Name: "f"}, bytes.NewReader(randomBytes(int64(i), 1024)), func(api.Progress) {})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFirstByte reads 1 MiB that only another node holds, one at a time.
func BenchmarkFirstByte(b *testing.B) {
	a := start(b, Config{Dir: b.TempDir(), Name: "a"})
	obj := put(b, a, "f", randomBytes(1, 1<<20), api.Policy{Copies: 1})
	c := join(b, a, Config{Dir: b.TempDir(), Name: "c"})
	waitOnline(b, a, c)
	for b.Loop() {
		err := c.Get(b.Context(), api.GetRequest{Link: obj.Link}, func(api.FileInfo) (io.Writer, error) { return io.Discard, nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}
