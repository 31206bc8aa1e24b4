package server

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"inos/kernel/api"
)

const (
	keyHeader  = "Inos-Key"  // a link's key, unpadded base64url
	fileHeader = "Inos-File" // api.FileInfo of a download, as ASCII JSON
	errTrailer = "Inos-Error"

	tarBuffer = 64 << 10

	putPath = "/v1/objects"

	// progressEvery bounds the lines of an upload's progress.
	progressEvery = 100 * time.Millisecond

	// drainTime and drainBytes bound how long a failed upload is still read, so
	// that the caller sees the error and not a broken pipe.
	drainTime  = 2 * time.Second
	drainBytes = 64 << 20
)

// linkOf builds the link that a request names: the root in the path, the key in
// a header.
func linkOf(root, key string) (api.Link, error) {
	const op = "server.link"
	addr, err := api.ParseAddress(root)
	if err != nil {
		return api.Link{}, err
	}
	link := api.Link{Root: addr}
	if key == "" {
		return link, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err != nil || len(raw) != len(link.Key) || len(key) != base64.RawURLEncoding.EncodedLen(len(raw)) {
		return api.Link{}, api.Errorf(op, api.Invalid, "the "+keyHeader+" header holds the 43 characters after # of a link")
	}
	copy(link.Key[:], raw)
	return link, nil
}

// cleanPath checks a path inside an object. It must already be in its one
// spelling, so that two names never mean one file.
func cleanPath(p string) error {
	const op = "server.path"
	if len(p) > api.MaxPath {
		return api.Errorf(op, api.Invalid, "a path has at most 4096 bytes")
	}
	if p == "" {
		return nil
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return api.Errorf(op, api.Invalid, "a path inside an object is relative, without . or .. or empty parts")
		}
	}
	return nil
}

// put streams a body into the backend and progress back while it is still
// arriving. The answer is 200 as soon as the request is well formed: what
// follows is in the lines.
func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	req, err := putRequest(r.URL.Query())
	if err != nil {
		writeError(w, err)
		drain(w, r.Body)
		return
	}
	lines := newLineWriter(w, true)
	defer lines.close()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()

	var last time.Time
	progress := func(p api.Progress) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			if lines.write(api.PutUpdate{Progress: &p}) != nil {
				cancel() // the caller is gone
			}
		}
	}
	obj, err := s.backend.Put(ctx, req, r.Body, progress)
	if err != nil {
		_ = lines.write(api.PutUpdate{Error: problemOf(err)})
		lines.close()
		drain(w, r.Body)
		return
	}
	_ = lines.write(api.PutUpdate{Object: &obj}) // a caller that is gone finds the object in the list
}

// duplex lets the answer to an upload leave before the body has arrived, errors
// of the guards included: a caller may be waiting for it with its body.
func duplex(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost && r.URL.Path == putPath {
		_ = http.NewResponseController(w).EnableFullDuplex() // fails only on HTTP/2, which always is
	}
}

// drain sends the answer and reads on for a moment, so that a caller in the
// middle of its upload gets to see it.
func drain(w http.ResponseWriter, body io.Reader) {
	_ = http.NewResponseController(w).Flush()
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.CopyN(io.Discard, body, drainBytes)
}

func putRequest(q url.Values) (api.PutRequest, error) {
	p := queryParser{q: q}
	req := api.PutRequest{
		Name:   q.Get("name"),
		Folder: p.flag("folder"),
		Size:   p.number("size", 64),
		Files:  p.number("files", 64),
		Policy: api.Policy{
			Copies:  uint8(p.number("copies", 8)),
			MinAcks: uint8(p.number("min_acks", 8)),
			Until:   int64(p.number("until", 63)),
			Public:  p.flag("public"),
		},
	}
	switch {
	case p.err != nil:
		return req, p.err
	case len(req.Name) > api.MaxObjName:
		return req, api.Errorf("server.put", api.Invalid, "an object's name has at most 255 bytes")
	case req.Policy.Copies > api.MaxCopies:
		return req, api.Errorf("server.put", api.Invalid, fmt.Sprintf("copies is at most %d", api.MaxCopies))
	}
	return req, nil
}

// queryParser reads typed parameters and keeps the first error.
type queryParser struct {
	q   url.Values
	err error
}

func (p *queryParser) number(name string, bits int) uint64 {
	v := p.q.Get(name)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseUint(v, 10, bits)
	if err != nil && p.err == nil {
		p.err = api.Errorf("server.query", api.Invalid, name+" is a whole number that is not negative and not too large")
	}
	return n
}

func (p *queryParser) flag(name string) bool {
	v := p.q.Get(name)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil && p.err == nil {
		p.err = api.Errorf("server.query", api.Invalid, name+" is true or false")
	}
	return b
}

// get answers a download, of a file's bytes or of a tar stream.
func (s *Server) get(tar bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		link, err := linkOf(r.PathValue("root"), r.Header.Get(keyHeader))
		path := r.URL.Query().Get("path")
		if err == nil {
			err = cleanPath(path)
		}
		if err != nil {
			writeError(w, err)
			return
		}
		req := api.GetRequest{Link: link, Path: path, Tar: tar}
		d := &download{w: w, r: r, ctl: http.NewResponseController(w)}
		if !tar {
			req.Offset, req.Length, d.ranged = parseRange(r.Header.Get("Range"))
			d.offset, d.length = req.Offset, req.Length
		}
		d.tar = tar
		d.finish(s.backend.Get(r.Context(), req, d.begin))
	}
}

// download is one answer to a get: headers at begin, then bytes, and an error
// in the trailer or, for a reader that takes none, as a broken connection.
type download struct {
	w   http.ResponseWriter
	r   *http.Request
	ctl *http.ResponseController

	tar, ranged    bool
	offset, length uint64
	begun, trailer bool
	tarBuf         *bufio.Writer // gathers the small writes of a tar stream

	dress func(http.Header, api.FileInfo) // last word on the headers; nil for none
}

func (d *download) begin(info api.FileInfo) (io.Writer, error) {
	if d.ranged && d.offset >= max(info.Size, 1) {
		d.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", info.Size))
		return nil, api.Errorf("server.get", api.Invalid, "the range begins after the end of the file")
	}
	h := d.w.Header()
	h.Set("Content-Type", contentType(info, d.tar))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": downloadName(info, d.tar)}))
	h.Set("Cache-Control", "private, no-transform")
	h.Set(fileHeader, asciiJSON(info))
	if d.dress != nil {
		d.dress(h, info)
	}
	d.trailer = strings.Contains(strings.ToLower(d.r.Header.Get("TE")), "trailers")
	status := http.StatusOK
	size := info.Size
	if d.ranged {
		size = info.Size - d.offset
		if d.length > 0 {
			size = min(size, d.length)
		}
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", d.offset, d.offset+size-1, info.Size))
	}
	switch {
	case d.trailer:
		h.Set("Trailer", errTrailer)
	case !d.tar:
		h.Set("Content-Length", strconv.FormatUint(size, 10))
	}
	d.w.WriteHeader(status)
	d.begun = true
	if d.tar {
		d.tarBuf = bufio.NewWriterSize(d, tarBuffer)
		return d.tarBuf, nil
	}
	return d, nil
}

// Write passes bytes on, giving the reader writeTimeout to take them.
func (d *download) Write(p []byte) (int, error) {
	_ = d.ctl.SetWriteDeadline(time.Now().Add(writeTimeout))
	return d.w.Write(p)
}

func (d *download) finish(err error) {
	if err == nil && d.tarBuf != nil {
		err = d.tarBuf.Flush()
	}
	switch {
	case err == nil && d.begun:
	case err == nil:
		writeError(d.w, api.Errorf("server.get", api.Other, "the node sent nothing"))
	case !d.begun:
		if d.w.Header().Get("Content-Range") != "" {
			p := problemOf(err)
			p.Status, p.Title = http.StatusRequestedRangeNotSatisfiable, "Range Not Satisfiable"
			writeProblem(d.w, p)
			return
		}
		writeError(d.w, err)
	case d.trailer:
		d.w.Header().Set(errTrailer, asciiJSON(problemOf(err)))
	default:
		panic(http.ErrAbortHandler) // the one way to tell an HTTP/1.1 reader that bytes are missing
	}
}

func contentType(info api.FileInfo, tar bool) string {
	switch {
	case tar:
		return "application/x-tar"
	case info.MediaType != "":
		return info.MediaType
	}
	return "application/octet-stream"
}

func downloadName(info api.FileInfo, tar bool) string {
	name := info.Name
	if name == "" {
		name = "download"
	}
	if tar {
		name += ".tar"
	}
	return name
}

// parseRange reads a single "bytes=first-" or "bytes=first-last". Anything else
// is no range, as RFC 9110 section 14.2 lets a server choose.
func parseRange(h string) (offset, length uint64, ok bool) {
	spec, ok := strings.CutPrefix(h, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || first == "" || strings.ContainsRune(last, ',') {
		return 0, 0, false
	}
	offset, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return 0, 0, false
	}
	if last == "" {
		return offset, 0, true
	}
	end, err := strconv.ParseUint(last, 10, 63)
	if err != nil || end < offset {
		return 0, 0, false
	}
	return offset, end - offset + 1, true
}

// asciiJSON renders v for a header field: JSON with everything outside ASCII
// escaped.
func asciiJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return "{}" // our own types always marshal
	}
	var b strings.Builder
	for _, r := range string(raw) {
		switch {
		case r < 0x80:
			b.WriteByte(byte(r))
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return b.String()
}
