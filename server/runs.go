package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"inos/kernel/api"
)

// Bounds of request bodies that are held in memory.
const (
	maxJSON = 1 << 20
	maxRun  = 32 << 20 // MaxBatchJobs links of about 200 bytes and their paths
)

// run starts jobs and streams their updates. It is the hot path of the API: a
// plain handler, one decode, and one write when the job is quick.
func (s *Server) run(w http.ResponseWriter, r *http.Request) {
	var req api.RunRequest
	if err := readJSON(w, r, maxRun, &req); err != nil {
		writeError(w, err)
		return
	}
	if err := checkRun(&req); err != nil {
		writeError(w, err)
		return
	}
	lines := newLineWriter(w, false)
	defer lines.close()
	jobs := &jobStream{lines: lines}
	err := s.backend.Run(r.Context(), req, jobs.update)
	jobs.flush()
	if err != nil {
		lines.fail(w, err, func(p *api.Problem) any { return api.RunUpdate{Error: p} })
	}
}

// checkRun refuses what no backend could accept.
func checkRun(req *api.RunRequest) error {
	const op = "server.run"
	switch {
	case req.Module == "" || req.Unit == "" || req.Method == "":
		return api.Errorf(op, api.Invalid, "a run names a module, a unit and a method, such as compute/hash.blake3")
	case len(req.Params) > api.MaxParams:
		return api.Errorf(op, api.Exhausted, fmt.Sprintf("params has at most %d bytes", api.MaxParams))
	case len(req.Inputs) > api.MaxBatchJobs:
		return api.Errorf(op, api.Exhausted, fmt.Sprintf("a run has at most %d inputs", api.MaxBatchJobs))
	case req.PriceCap < 0:
		return api.Errorf(op, api.Invalid, "the price cap is not negative")
	}
	for _, in := range req.Inputs {
		if in.Link.IsZero() {
			return api.Errorf(op, api.Invalid, "every input has a link")
		}
		if err := cleanPath(in.Path); err != nil {
			return err
		}
	}
	return nil
}

// readJSON decodes a bounded body that must be one JSON value.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	const op = "server.body"
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return bodyError(op, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return api.Errorf(op, api.Invalid, "the body holds one JSON value and nothing after it")
	}
	return nil
}

// events streams what happens on the node, after the position in ?since=.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	p := queryParser{q: r.URL.Query()}
	since := p.number("since", 64)
	if p.err != nil {
		writeError(w, p.err)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()

	lines := newLineWriter(w, true)
	defer lines.close()
	err := s.backend.Events(ctx, since, func(e api.Event) error {
		return lines.write(api.EventUpdate{Event: e})
	})
	if err != nil && ctx.Err() == nil {
		_ = lines.write(endOfEvents(problemOf(err)))
	}
}

// endOfEvents is the last line of an event stream that failed.
func endOfEvents(p *api.Problem) any {
	return struct {
		Error *api.Problem `json:"error"`
	}{p}
}

// moduleAdd streams a module file to the backend, bounded.
func (s *Server) moduleAdd(w http.ResponseWriter, r *http.Request) {
	info, err := s.backend.ModuleAdd(r.Context(), http.MaxBytesReader(w, r.Body, api.MaxModule))
	if err != nil {
		if big := sizeError("server.module", err); big != nil {
			err = big
		}
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(info)
}

// metrics answers in the Prometheus text format.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	cw := &countingWriter{w: w}
	if err := s.backend.Metrics(r.Context(), cw); err != nil && cw.n == 0 {
		writeError(w, err)
	}
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// health answers a supervisor: 200 when the node serves requests.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	st, err := s.backend.Status(r.Context())
	if err == nil && !st.Ready {
		err = api.Errorf("server.health", api.Unavailable, "the node is starting")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok "+strconv.FormatFloat(st.UptimeSeconds, 'f', 0, 64)+"s\n")
}
