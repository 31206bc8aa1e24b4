package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
)

// nats moves an object through a JetStream object store, and asks a question that
// another connection answers.
func (s *suite) nats(ctx context.Context, exe string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := l.Addr().(*net.TCPAddr)
	_ = l.Close()
	p, err := startPeer(exec.CommandContext(ctx, exe, "-js", "-a", "127.0.0.1", "-p", fmt.Sprint(addr.Port), "-sd", filepath.Join(s.dir, "nats")))
	if err != nil {
		return err
	}
	defer p.stop()
	var c *nats.Conn
	if err := until(ctx, func() bool {
		c, err = nats.Connect(addr.String())
		return err == nil
	}); err != nil {
		return err
	}
	defer c.Close()
	if err := s.natsObject(c); err != nil {
		return err
	}
	return s.natsRequest(c, addr.String())
}

func (s *suite) natsObject(c *nats.Conn) error {
	js, err := c.JetStream(nats.MaxWait(time.Minute))
	if err != nil {
		return err
	}
	store, err := js.CreateObjectStore(&nats.ObjectStoreConfig{Bucket: "bench", Storage: nats.FileStorage})
	if err != nil {
		return err
	}
	size := 256 << 20
	if s.opt.Quick {
		size = 32 << 20
	}
	var puts, gets []float64
	for i := range s.reps {
		name := fmt.Sprintf("object-%d", i)
		data := random(int64(600+i), size)
		t := time.Now()
		if _, err := store.PutBytes(name, data); err != nil {
			return err
		}
		puts = append(puts, float64(size)/mb/time.Since(t).Seconds())
		t = time.Now()
		r, err := store.Get(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		_ = r.Close()
		if err != nil {
			return err
		}
		gets = append(gets, float64(size)/mb/time.Since(t).Seconds())
		if err := store.Delete(name); err != nil {
			return err
		}
	}
	s.compareWith("put 256 MiB random, sealed, fsynced, 1 copy", "NATS object put, no fsync", puts)
	s.compareWith("get 256 MiB from another node", "NATS object get", gets)
	return nil
}

func (s *suite) natsRequest(c *nats.Conn, url string) error {
	other, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer other.Close()
	if _, err := other.Subscribe("bench.echo", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		return err
	}
	if err := other.Flush(); err != nil {
		return err
	}
	var took []float64
	for range 2000 {
		t := time.Now()
		if _, err := c.Request("bench.echo", []byte("ping"), time.Second); err != nil {
			return err
		}
		took = append(took, time.Since(t).Seconds()*1000)
	}
	s.compareWith("no-op job, local, p50", "NATS request-reply", took)
	us := make([]float64, len(took))
	for i, t := range took {
		us[i] = t * 1000
	}
	s.compareWith("warm local call through the API, p50", "NATS request-reply", us)
	s.compareWith("no-op job, remote, paid, p50", "NATS request-reply", took)
	s.compareWith(messageRow, "NATS request-reply, nothing durable", took)
	return nil
}
