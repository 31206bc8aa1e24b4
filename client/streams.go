package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"inos/kernel/api"
)

// copySize is how much of an upload is read and written at a time.
const copySize = 256 << 10

// Put uploads body and returns once the node has the policy's receipts. body is
// read to its end, from another goroutine, which has stopped when Put returns
// unless body itself blocks. An error of body is returned as it is. progress may
// be nil; it is called from the caller's goroutine.
func (c *Client) Put(ctx context.Context, r api.PutRequest, body io.Reader, progress func(api.Progress)) (api.Object, error) {
	const op = "client.put"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // stops an upload that the node has refused
	up := &upload{src: body, start: make(chan struct{}), ctx: ctx}
	res, err := c.do(ctx, request{
		op: op, method: "POST", path: "/v1/objects", query: putQuery(r).Values(), body: up,
		header: http.Header{"Content-Type": {contentType(r.Folder)}},
	})
	if err != nil {
		return api.Object{}, up.blame(err)
	}
	defer func() { _ = res.Body.Close() }()
	up.begin()
	var obj *api.Object
	err = c.lines(ctx, op, res.Body, func(raw []byte) error {
		var u api.PutUpdate
		if err := json.Unmarshal(raw, &u); err != nil {
			return api.E(op, api.Unavailable, err)
		}
		switch {
		case u.Error != nil:
			return problem(op, u.Error)
		case u.Object != nil:
			obj = u.Object
		case u.Progress != nil && progress != nil:
			progress(*u.Progress)
		}
		return nil
	})
	if err == nil && obj == nil {
		err = api.Errorf(op, api.Unavailable, "the node stopped before the object was stored")
	}
	if err != nil {
		return api.Object{}, up.blame(err)
	}
	return *obj, nil
}

func contentType(folder bool) string {
	if folder {
		return "application/x-tar"
	}
	return "application/octet-stream"
}

func putQuery(r api.PutRequest) query {
	q := query{}.text("name", r.Name).number("copies", int(r.Policy.Copies)).number("min_acks", int(r.Policy.MinAcks))
	for name, n := range map[string]uint64{"size": r.Size, "files": r.Files, "until": uint64(r.Policy.Until)} {
		if n > 0 {
			q.text(name, strconv.FormatUint(n, 10))
		}
	}
	if r.Folder {
		q.text("folder", "true")
	}
	if r.Policy.Public {
		q.text("public", "true")
	}
	return q
}

// acceptWait is how long an upload waits for the node's first word. Something
// between that buffers requests would otherwise wait for us as we for it.
const acceptWait = time.Second

// upload is the body of a put. It sends nothing before the node has accepted
// the request, or acceptWait, so that a refusal costs no upload and is not lost
// behind a broken pipe, and it remembers the error of its source.
type upload struct {
	src   io.Reader
	start chan struct{} // closed when the node has accepted
	ctx   context.Context
	once  sync.Once

	mu  sync.Mutex
	err error // mu; what src failed with
}

func (u *upload) begin() { u.once.Do(func() { close(u.start) }) }

func (u *upload) wait() error {
	select {
	case <-u.start: // on every read but the first
		return nil
	default:
	}
	t := time.NewTimer(acceptWait)
	defer t.Stop()
	select {
	case <-u.start:
	case <-t.C:
		u.begin()
	case <-u.ctx.Done():
		return u.ctx.Err()
	}
	return nil
}

// Read implements io.Reader.
func (u *upload) Read(p []byte) (int, error) {
	if err := u.wait(); err != nil {
		return 0, err
	}
	n, err := u.src.Read(p)
	if err != nil && err != io.EOF {
		u.fail(err)
	}
	return n, err
}

// buffers holds copySize bytes each, for uploads and downloads.
var buffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// WriteTo lets net/http copy in larger pieces than its own.
func (u *upload) WriteTo(w io.Writer) (int64, error) {
	lent := buffers.Get().(*[copySize]byte)
	defer buffers.Put(lent)
	buf := lent[:]
	var total int64
	for {
		n, err := u.Read(buf)
		if n > 0 {
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func (u *upload) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
}

// blame prefers the source's own error to what its end looked like from afar.
func (u *upload) blame(err error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return u.err
	}
	return err
}

// Get reads a file's bytes or a tar stream. begin is called once, before the
// first byte, with what is being read; the bytes go to the Writer it returns.
func (c *Client) Get(ctx context.Context, r api.GetRequest, begin func(api.FileInfo) (io.Writer, error)) error {
	const op = "client.get"
	what := "/content"
	if r.Tar {
		what = "/tar"
	}
	h := linkHeader(r.Link)
	h.Set("TE", "trailers") // ask for errors in the middle of a stream
	if !r.Tar && (r.Offset > 0 || r.Length > 0) {
		h.Set("Range", rangeHeader(r.Offset, r.Length))
	}
	res, err := c.do(ctx, request{
		op: op, method: "GET", path: objectPath(r.Link, what), query: query{}.text("path", r.Path).Values(), header: h,
	})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var info api.FileInfo
	if err := json.Unmarshal([]byte(res.Header.Get("Inos-File")), &info); err != nil {
		return api.E(op, api.Unavailable, err)
	}
	w, err := begin(info)
	if err != nil {
		return err
	}
	out := &sink{w: w}
	buf := buffers.Get().(*[copySize]byte)
	defer buffers.Put(buf)
	if _, err := io.CopyBuffer(out, res.Body, buf[:]); err != nil {
		if out.err != nil {
			return out.err // the caller's own
		}
		return c.transportError(ctx, op, fmt.Errorf("the download was cut off: %w", err))
	}
	if t := res.Trailer.Get("Inos-Error"); t != "" {
		var p api.Problem
		if err := json.Unmarshal([]byte(t), &p); err != nil {
			return api.E(op, api.Unavailable, err)
		}
		return problem(op, &p)
	}
	return nil
}

func rangeHeader(offset, length uint64) string {
	h := "bytes=" + strconv.FormatUint(offset, 10) + "-"
	if length > 0 {
		h += strconv.FormatUint(offset+length-1, 10)
	}
	return h
}

// sink remembers the error of the caller's writer, to tell it from the network's.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// Run starts jobs and calls each on every update, until all are final. An error
// from each cancels the run and is returned.
func (c *Client) Run(ctx context.Context, r api.RunRequest, each func(api.Job) error) error {
	q := request{op: "client.run", method: "POST", path: "/v1/runs"}
	if err := q.json(r); err != nil {
		return err
	}
	res, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	return c.lines(ctx, q.op, res.Body, func(raw []byte) error {
		var u api.RunUpdate
		if err := json.Unmarshal(raw, &u); err != nil {
			return api.E(q.op, api.Unavailable, err)
		}
		if u.Error != nil {
			return problem(q.op, u.Error)
		}
		if u.Job != nil {
			return each(*u.Job)
		}
		return nil
	})
}

// Events calls fn for every event after position since, until ctx ends or fn
// fails.
func (c *Client) Events(ctx context.Context, since uint64, fn func(api.Event) error) error {
	const op = "client.events"
	q := query{}
	if since > 0 {
		q.text("since", strconv.FormatUint(since, 10))
	}
	res, err := c.do(ctx, request{op: op, method: "GET", path: "/v1/events", query: q.Values()})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	err = c.lines(ctx, op, res.Body, func(raw []byte) error {
		var u api.EventUpdate
		if err := json.Unmarshal(raw, &u); err != nil {
			return api.E(op, api.Unavailable, err)
		}
		if u.Error != nil {
			return problem(op, u.Error)
		}
		return fn(u.Event)
	})
	if err == nil {
		err = api.Errorf(op, api.Closed, "the node stopped")
	}
	return err
}

// lines calls fn with every line of an NDJSON body. fn does not keep the line.
func (c *Client) lines(ctx context.Context, op string, body io.Reader, fn func([]byte) error) error {
	r := bufio.NewReaderSize(body, 4<<10)
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if len(long)+len(part) > maxLine {
				return api.Errorf(op, api.Exhausted, "the node sent a line that is too long")
			}
			long = append(long, part...)
			continue
		}
		if err != nil && (err != io.EOF || len(part)+len(long) > 0) {
			return c.transportError(ctx, op, fmt.Errorf("the node's answer was cut off: %w", err))
		}
		if err == io.EOF {
			return nil
		}
		line := part
		if len(long) > 0 {
			line = append(long, part...)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := fn(line); err != nil {
				return err
			}
		}
		long = long[:0]
	}
}
