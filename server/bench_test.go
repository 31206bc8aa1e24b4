package server_test

import (
	"context"
	"io"
	"path/filepath"
	"sync"
	"testing"

	"inos/client"
	"inos/kernel/api"
	"inos/server"
	"inos/server/servertest"
)

// echo answers at once, so that what is measured is the API itself.
type echo struct{ *servertest.Fake }

func (echo) Run(_ context.Context, req api.RunRequest, each func(api.Job) error) error {
	for _, state := range []api.JobState{api.JobQueued, api.JobRunning, api.JobDone} {
		j := api.Job{Spec: api.JobSpec{ID: api.ID{1}, Unit: req.Unit, Method: req.Method}, State: state}
		if err := each(j); err != nil {
			return err
		}
	}
	return nil
}

func (echo) Put(_ context.Context, _ api.PutRequest, body io.Reader, progress func(api.Progress)) (api.Object, error) {
	lent := chunks.Get().(*[api.ChunkSize]byte)
	defer chunks.Put(lent)
	buf := lent[:]
	var p api.Progress
	for {
		n, err := io.ReadFull(body, buf)
		p.Bytes += uint64(n)
		progress(p)
		if err != nil {
			return api.Object{Bytes: p.Bytes}, nil
		}
	}
}

func (echo) Get(_ context.Context, r api.GetRequest, begin func(api.FileInfo) (io.Writer, error)) error {
	w, err := begin(api.FileInfo{Size: r.Offset})
	buf := make([]byte, api.ChunkSize)
	for range benchChunks {
		if err == nil {
			_, err = w.Write(buf)
		}
	}
	return err
}

const benchChunks = 64

var chunks = sync.Pool{New: func() any { return new([api.ChunkSize]byte) }}

func benchClient(b *testing.B) *client.Client {
	b.Helper()
	sock := filepath.Join(b.TempDir(), "s")
	s, err := server.Open(echo{servertest.New()}, server.Config{Socket: sock})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	c := client.Unix(sock)
	b.Cleanup(func() { c.Close(); _ = s.Shutdown(context.Background()) })
	return c
}

// BenchmarkRoundTrip is a job with three updates over a Unix socket: what the
// API adds to a run.
func BenchmarkRoundTrip(b *testing.B) {
	c := benchClient(b)
	req := api.RunRequest{Module: "compute", Unit: "hash", Method: "blake3", Inputs: []api.RunInput{{Link: api.Link{Root: api.Address{1}}}}}
	for b.Loop() {
		if err := c.Run(b.Context(), req, func(api.Job) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStatus(b *testing.B) {
	c := benchClient(b)
	for b.Loop() {
		if _, err := c.Status(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut64MiB(b *testing.B) {
	c := benchClient(b)
	b.SetBytes(benchChunks * api.ChunkSize)
	for b.Loop() {
		body := io.LimitReader(ones{}, benchChunks*api.ChunkSize)
		if _, err := c.Put(b.Context(), api.PutRequest{}, body, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut4KiB(b *testing.B) {
	c := benchClient(b)
	for b.Loop() {
		if _, err := c.Put(b.Context(), api.PutRequest{}, io.LimitReader(ones{}, 4096), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet64MiB(b *testing.B) {
	c := benchClient(b)
	b.SetBytes(benchChunks * api.ChunkSize)
	for b.Loop() {
		err := c.Get(b.Context(), api.GetRequest{Link: api.Link{Root: api.Address{1}}}, func(api.FileInfo) (io.Writer, error) { return io.Discard, nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}
