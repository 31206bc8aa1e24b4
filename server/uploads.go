package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"inos/kernel/api"
)

// Bounds of uploads in parts.
const (
	maxUploads  = 64               // not finished, or finished and not looked at
	uploadIdle  = 15 * time.Minute // without a part before an upload is given up
	uploadKept  = 5 * time.Minute  // a finished one's outcome is remembered
	uploadChunk = 256 << 10
)

// uploads are puts whose body arrives in several requests, so that a caller
// that cannot stream a body and read the answer at once, as a browser over
// HTTP/1.1, sees progress and resumes after a lost connection.
//
// Each upload is one Put of the backend that reads from a pipe; parts write to
// it in order. Nothing is buffered here: a part is taken at the pace at which
// its blocks are stored.
type uploads struct {
	ctx     context.Context // of every Put
	backend Backend

	mu   sync.Mutex
	byID map[api.ID]*upload // mu; at most maxUploads
}

type upload struct {
	req    api.UploadRequest
	body   *io.PipeWriter
	part   sync.Mutex // held by the one request that writes
	cancel context.CancelFunc
	done   chan struct{} // closed when Put has returned

	mu       sync.Mutex
	changed  chan struct{} // mu; closed and replaced when something below moves
	offset   uint64        // mu
	progress api.Progress  // mu
	object   api.Object    // mu; set before done is closed
	err      error         // mu; set before done is closed
	idle     *time.Timer   // mu
}

func newUploads(ctx context.Context, b Backend) *uploads {
	return &uploads{ctx: ctx, backend: b, byID: map[api.ID]*upload{}}
}

// begin starts an upload, or finds the one to resume.
func (u *uploads) begin(_ context.Context, in *body[api.UploadRequest]) (api.Upload, error) {
	const op = "server.upload"
	req := in.Body
	switch {
	case req.ID.IsZero():
		return api.Upload{}, api.Errorf(op, api.Invalid, "an upload has an id of the caller's choice")
	case len(req.Name) > api.MaxObjName:
		return api.Upload{}, api.Errorf(op, api.Invalid, "an object's name has at most 255 bytes")
	case req.Policy.Copies > api.MaxCopies:
		return api.Upload{}, api.Errorf(op, api.Invalid, fmt.Sprintf("copies is at most %d", api.MaxCopies))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if v := u.byID[req.ID]; v != nil && !v.finished() {
		if v.req != req {
			return api.Upload{}, api.Errorf(op, api.Conflict, "another upload with this id is going on; choose another id")
		}
		return v.state(), nil
	}
	if _, replaced := u.byID[req.ID]; !replaced && len(u.byID) >= maxUploads {
		return api.Upload{}, api.Errorf(op, api.Exhausted, fmt.Sprintf("%d uploads are going on; finish one or wait", maxUploads))
	}
	v := u.start(req)
	u.byID[req.ID] = v
	return v.state(), nil
}

func (u *uploads) start(req api.UploadRequest) *upload {
	ctx, cancel := context.WithCancel(u.ctx)
	pr, pw := io.Pipe()
	v := &upload{req: req, body: pw, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	v.idle = time.AfterFunc(uploadIdle, func() {
		v.stop(api.Errorf("server.upload", api.Timeout, "no part came for 15 minutes; begin again, what is stored already is not sent twice"))
	})
	if req.Length == 0 {
		_ = pw.Close()
	}
	go func() {
		put := api.PutRequest{Name: req.Name, Folder: req.Folder, Policy: req.Policy, Size: req.Size, Files: req.Files}
		obj, err := u.backend.Put(ctx, put, pr, v.report)
		_ = pr.CloseWithError(errors.Join(err, io.ErrClosedPipe)) // a part still writing stops
		cancel()
		v.mu.Lock()
		v.object, v.err = obj, err
		v.idle.Stop()
		v.move()
		close(v.done)
		v.mu.Unlock()
		time.AfterFunc(uploadKept, func() { u.forget(v) })
	}()
	return v
}

func (u *uploads) forget(v *upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byID[v.req.ID] == v {
		delete(u.byID, v.req.ID)
	}
}

func (u *uploads) find(id string) (*upload, error) {
	key, err := api.ParseID(id)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if v := u.byID[key]; v != nil {
		return v, nil
	}
	return nil, api.Errorf("server.upload", api.NotFound, "no such upload is going on; begin it again, what is stored already is not sent twice")
}

func (v *upload) finished() bool {
	select {
	case <-v.done:
		return true
	default:
		return false
	}
}

// stop gives the upload up.
func (v *upload) stop(err error) {
	_ = v.body.CloseWithError(err)
	v.cancel()
}

// move tells watchers. v.mu is held.
func (v *upload) move() {
	close(v.changed)
	v.changed = make(chan struct{})
}

func (v *upload) report(p api.Progress) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.progress = p
	v.move()
}

func (v *upload) state() api.Upload {
	v.mu.Lock()
	defer v.mu.Unlock()
	return api.Upload{ID: v.req.ID, Offset: v.offset, Length: v.req.Length, Progress: v.progress}
}

// took counts bytes handed to Put and ends the body after the last.
func (v *upload) took(n int) {
	v.mu.Lock()
	v.offset += uint64(n)
	whole := v.offset == v.req.Length
	v.idle.Reset(uploadIdle)
	v.mu.Unlock()
	if whole {
		_ = v.body.Close()
	}
}

// partPut takes one part. It must begin where the last ended; a part that was cut
// off counts as far as it came.
func (u *uploads) partPut(w http.ResponseWriter, r *http.Request) {
	const op = "server.upload"
	v, err := u.find(r.PathValue("id"))
	if err != nil {
		writeError(w, err)
		return
	}
	p := queryParser{q: r.URL.Query()}
	offset := p.number("offset", 63)
	switch {
	case p.err != nil:
		err = p.err
	case !v.part.TryLock():
		err = api.Errorf(op, api.Conflict, "another part of this upload is arriving; wait for it")
	default:
		defer v.part.Unlock()
		err = v.write(w, r, offset)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, v.state())
}

func (v *upload) write(w http.ResponseWriter, r *http.Request, offset uint64) error {
	const op = "server.upload"
	at := v.state().Offset
	if offset != at {
		return api.Errorf(op, api.Conflict, fmt.Sprintf("the next part begins at %d", at))
	}
	ctl := http.NewResponseController(w)
	body := http.MaxBytesReader(w, r.Body, int64(v.req.Length-at))
	buf := make([]byte, uploadChunk)
	for {
		_ = ctl.SetReadDeadline(time.Now().Add(writeTimeout))
		n, err := body.Read(buf)
		if n > 0 {
			if _, werr := v.body.Write(buf[:n]); werr != nil {
				return v.failure(werr)
			}
			v.took(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = ctl.SetReadDeadline(time.Time{})
			return nil
		case err != nil && sizeError(op, err) != nil:
			return api.Errorf(op, api.Invalid, "the part goes beyond the length that was announced")
		case err != nil:
			return api.E(op, api.Canceled, err)
		}
	}
}

// failure is why Put stopped reading.
func (v *upload) failure(werr error) error {
	<-v.done
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		return v.err
	}
	return api.E("server.upload", api.Invalid, werr) // Put was content with less: a tar stream's end came early
}

// watch streams an upload's progress until its object or its error.
func (u *uploads) watch(w http.ResponseWriter, r *http.Request) {
	v, err := u.find(r.PathValue("id"))
	if err != nil {
		writeError(w, err)
		return
	}
	lines := newLineWriter(w, true)
	defer lines.close()
	for {
		v.mu.Lock()
		changed, progress := v.changed, v.progress
		v.mu.Unlock()
		if err := lines.write(api.PutUpdate{Progress: &progress}); err != nil {
			return // the caller is gone; the upload goes on
		}
		select {
		case <-v.done:
			v.end(lines)
			return
		case <-r.Context().Done():
			return
		case <-changed:
		}
		select { // at most ten lines a second
		case <-time.After(progressEvery):
		case <-v.done:
		case <-r.Context().Done():
			return
		}
	}
}

func (v *upload) end(lines *lineWriter) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.err != nil {
		_ = lines.write(api.PutUpdate{Error: problemOf(v.err)})
		return
	}
	_ = lines.write(api.PutUpdate{Object: &v.object})
}

// abandon stops an upload; what it stored expires with its unclaimed leases.
func (u *uploads) abandon(_ context.Context, in *idInput) error {
	v, err := u.find(in.ID)
	if err != nil {
		return err
	}
	v.stop(api.Errorf("server.upload", api.Canceled, "the upload was stopped"))
	u.forget(v)
	return nil
}
