package server

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"inos/kernel/api"
)

// Bounds of tickets.
const (
	maxTickets = 4096 // the oldest goes first
	ticketTime = time.Hour
)

// tickets name bytes for the elements of a page that take an address and no
// headers: a picture, a sound, a download. A ticket stands for a link, whose
// key must not appear in an address. It works only with the cookie of a session.
type tickets struct {
	mu    sync.Mutex
	byKey map[digest]ticket // mu; at most maxTickets
	order []digest          // mu; oldest first
}

type ticket struct {
	req     api.GetRequest
	preview bool
	expires time.Time
}

func newTickets() *tickets { return &tickets{byKey: map[digest]ticket{}} }

func (t *tickets) issue(req api.GetRequest, preview bool) string {
	key := secret()
	sum := hashToken(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) == maxTickets {
		delete(t.byKey, t.order[0])
		t.order = t.order[1:]
	}
	t.byKey[sum] = ticket{req, preview, time.Now().Add(ticketTime)}
	t.order = append(t.order, sum)
	return key
}

func (t *tickets) find(key string) (ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.byKey[hashToken(key)]
	if !ok || time.Now().After(v.expires) {
		return ticket{}, api.Errorf("server.ticket", api.NotFound, "this address has expired; open the file again from the page")
	}
	return v, nil
}

// ticket answers POST /v1/tickets.
func (s *Server) ticket(ctx context.Context, in *body[api.TicketRequest]) (api.Ticket, error) {
	const op = "server.ticket"
	if s.page == nil || !fromPage(ctx) {
		return api.Ticket{}, api.Errorf(op, api.Unsupported, "tickets are for the page; read /v1/objects/{root}/content instead")
	}
	q := in.Body
	if q.Link.IsZero() {
		return api.Ticket{}, api.Errorf(op, api.Invalid, "a ticket names a link")
	}
	if err := cleanPath(q.Path); err != nil {
		return api.Ticket{}, err
	}
	key := s.page.tickets.issue(api.GetRequest{Link: q.Link, Path: q.Path, Tar: q.Tar}, q.Preview && !q.Tar)
	return api.Ticket{URL: "/page/raw/" + key + "/" + url.PathEscape(rawName(q)), Expires: time.Now().Add(ticketTime).Unix()}, nil
}

// rawName is the last part of a ticket's address, for people who look at it.
func rawName(q api.TicketRequest) string {
	name := q.Path[strings.LastIndexByte(q.Path, '/')+1:]
	if name == "" {
		return "object"
	}
	return name
}

// raw answers with the bytes behind a ticket. What users stored never runs with
// the page's rights: only pictures, sound and film are shown in place, all else
// is saved, and the answer's own policy is a sandbox without scripts, so that
// even a picture opened by itself is a document of no origin.
func (p *page) raw(w http.ResponseWriter, r *http.Request) {
	err := p.sessions.checkCookie(r, p.cookieName())
	var t ticket
	if err == nil {
		t, err = p.tickets.find(r.PathValue("ticket"))
	}
	if err == nil {
		err = p.s.acquire(r.Context())
	}
	if err != nil {
		writeError(w, err)
		return
	}
	defer p.s.release()
	d := &download{w: w, r: r, ctl: http.NewResponseController(w), tar: t.req.Tar}
	d.dress = func(h http.Header, info api.FileInfo) { undressed(h, info, t) }
	req := t.req
	if !t.req.Tar {
		req.Offset, req.Length, d.ranged = parseRange(r.Header.Get("Range"))
		d.offset, d.length = req.Offset, req.Length
	}
	d.finish(p.s.backend.Get(r.Context(), req, d.begin))
}

// undressed replaces a download's headers by those for bytes nobody vouches for.
func undressed(h http.Header, info api.FileInfo, t ticket) {
	h.Set("Content-Security-Policy", "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; sandbox")
	h.Del(fileHeader)
	if !t.req.Tar {
		h.Set("Accept-Ranges", "bytes")
		h.Set("ETag", `"`+t.req.Link.Root.String()+"-"+etagSafe(t.req.Path)+`"`)
	}
	if t.preview && shown(info.MediaType) {
		h.Set("Content-Disposition", "inline")
		return
	}
	h.Set("Content-Type", "application/octet-stream")
	if t.req.Tar {
		h.Set("Content-Type", "application/x-tar")
	}
}

func etagSafe(path string) string {
	sum := hashToken(path)
	return base64Short(sum)
}

// shown lists the media types that a browser shows without running anything.
func shown(mediaType string) bool {
	base, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return false
	}
	switch base {
	case "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/svg+xml",
		"audio/mpeg", "audio/ogg", "audio/wav", "audio/x-wav", "audio/flac", "audio/aac", "audio/mp4", "audio/webm",
		"video/mp4", "video/webm", "video/ogg":
		return true
	}
	return false
}
