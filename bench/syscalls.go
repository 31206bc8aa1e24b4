package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"inos/host/wasm"
	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/syscall"
	"inos/kernel/wire"
)

// Names of rows that peers are compared with.
const (
	syscallRow = "system call from a guest and back, p50"
	messageRow = "message to a module of another node, receipt, p50"
)

// syscalls measures what a guest waits for when it asks its node.
func (s *suite) syscalls(ctx context.Context) error {
	if err := s.syscallRoundTrip(ctx); err != nil {
		return err
	}
	return s.messages(ctx)
}

// atOnce answers every message with the same failure, which the guest has least
// to do with.
type atOnce struct{ syscall.Services }

var errAtOnce = api.Errorf("bench", api.Unsupported, "no")

func (atOnce) Send(context.Context, *syscall.Caller, api.NodeID, string, []byte) (wire.MessageReceipt, error) {
	return wire.MessageReceipt{}, errAtOnce
}

// syscallRoundTrip is a request through import, ring, decoder, rules, budget and
// back to a Rust guest, without what the service does.
func (s *suite) syscallRoundTrip(ctx context.Context) error {
	e, m, err := loaded(ctx, wasm.Config{}, "syscalls")
	if err != nil {
		return err
	}
	defer e.Close()
	began := time.Now()
	k, err := syscall.New(syscall.Config{
		Policy: syscall.Policy{Rules: []syscall.Rule{{Module: "*", Rate: 1e6, Burst: 1e6, Budget: 1e6 * api.Credit}}, Total: 1e6 * api.Credit},
		Prices: api.Prices{StorageGiBMonth: api.Credit, ServeGiB: api.Credit}, Services: atOnce{}, Now: func() int64 { return int64(time.Since(began)) },
	})
	if err != nil {
		return err
	}
	const calls = 1000 // of one job
	params := fmt.Appendf(nil, `{"module":"nobody","count":%d}`, calls)
	runs := 20
	if s.opt.Quick {
		runs = 2
	}
	took := make([]float64, 0, runs)
	for i := range runs + 1 {
		c := module.Call{Unit: "call", Method: "send", Params: params, Input: []byte("ping")}
		c.Syscalls = k.Open(syscall.Caller{Module: m.Description(), Limits: api.Limits{}.WithDefaults()})
		t := time.Now()
		res, err := m.Call(ctx, c)
		if err != nil {
			return err
		}
		if n := strings.Count(string(res.Output), "refused: unsupported: no\n"); n != calls {
			return api.Errorf("bench", api.Other, fmt.Sprintf("%d of %d system calls came back", n, calls))
		}
		if i > 0 {
			took = append(took, time.Since(t).Seconds()*1e6/calls)
		}
	}
	s.add(Row{Name: syscallRow, Unit: "us", Target: 30, Less: true}, took)
	return nil
}

// messages sends from a guest on one node to a mailbox on another and waits for
// the receipt, which is given when the message is durable there. The time is the
// guest's own, without its job's way.
func (s *suite) messages(ctx context.Context) error {
	c, stop, err := s.meshWith(ctx, []string{"--syscalls", "syscalls receive=yes rate=10000 budget=1000"}, "a", "b")
	if err != nil {
		return err
	}
	defer stop()
	a, b := c.Nodes[0], c.Nodes[1]
	obj, err := a.Client.Put(ctx, api.PutRequest{Name: "ping", Size: 4, Policy: api.Policy{Copies: 1}}, strings.NewReader("ping"), nil)
	if err != nil {
		return err
	}
	params, err := json.Marshal(map[string]string{"node": b.ID.String(), "module": "syscalls"})
	if err != nil {
		return err
	}
	req := api.RunRequest{Module: "syscalls", Unit: "call", Method: "send", Params: params, Node: "a", Inputs: []api.RunInput{{Link: obj.Link}}}
	count := 300
	if s.opt.Quick {
		count = 20
	}
	var took []float64
	for i := range count + 10 {
		var last api.Job
		if err := a.Client.Run(ctx, req, func(j api.Job) error { last = j; return nil }); err != nil {
			return err
		}
		if last.State != api.JobDone {
			return api.Errorf("bench", last.Result.Kind, last.Result.Message)
		}
		if last.Result.OutputSize < 200 { // a line with a receipt is longer, a refusal shorter
			return api.Errorf("bench", api.Exhausted, "the node refused a message")
		}
		if i >= 10 { // the first ones compile and connect
			took = append(took, float64(last.Result.RunUS)/1000)
		}
	}
	s.add(Row{Name: messageRow, Unit: "ms", Target: 10, Less: true}, took)
	return nil
}
