package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"inos/kernel/api"
)

const problemType = "application/problem+json"

// statusClientGone is nginx's status for a caller that hung up; nobody reads it.
const statusClientGone = 499

var kindStatus = map[api.Kind]int{
	api.Other:         http.StatusInternalServerError,
	api.Invalid:       http.StatusBadRequest,
	api.NotFound:      http.StatusNotFound,
	api.Exists:        http.StatusConflict,
	api.Denied:        http.StatusForbidden,
	api.Unverified:    http.StatusUnauthorized,
	api.Corrupt:       http.StatusBadGateway,
	api.Unavailable:   http.StatusServiceUnavailable,
	api.Timeout:       http.StatusGatewayTimeout,
	api.Canceled:      statusClientGone,
	api.Exhausted:     http.StatusTooManyRequests,
	api.NoSpace:       http.StatusInsufficientStorage,
	api.PriceAboveCap: http.StatusPaymentRequired,
	api.Unfunded:      http.StatusPaymentRequired,
	api.Trapped:       http.StatusUnprocessableEntity,
	api.Closed:        http.StatusServiceUnavailable,
	api.Conflict:      http.StatusConflict,
	api.Unsupported:   http.StatusNotImplemented,
}

// statusKind classifies the errors that huma and the router make themselves.
var statusKind = map[int]api.Kind{
	http.StatusBadRequest:            api.Invalid,
	http.StatusUnprocessableEntity:   api.Invalid,
	http.StatusUnsupportedMediaType:  api.Unsupported,
	http.StatusNotFound:              api.NotFound,
	http.StatusMethodNotAllowed:      api.Unsupported,
	http.StatusRequestTimeout:        api.Timeout,
	http.StatusRequestEntityTooLarge: api.Exhausted,
	http.StatusUnauthorized:          api.Unverified,
	http.StatusForbidden:             api.Denied,
}

// problemOf describes err for the wire. An unclassified error keeps its text:
// the reader is the node's owner.
func problemOf(err error) *api.Problem {
	kind := api.KindOf(err)
	p := &api.Problem{
		Status: kindStatus[kind],
		Kind:   kind.String(),
		Detail: err.Error(),
	}
	var e *api.Error
	if errors.As(err, &e) {
		p.Op, p.Detail = e.Op, e.Message()
	}
	p.Title = statusTitle(p.Status)
	return p
}

func statusTitle(status int) string {
	if status == statusClientGone {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// writeProblem answers a request that has not been answered yet.
func writeProblem(w http.ResponseWriter, p *api.Problem) {
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="inos"`)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		raw = []byte("{}") // our own type always marshals
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(raw))) // complete before the handler returns
	w.WriteHeader(p.Status)
	_, _ = w.Write(raw) // the caller may be gone; there is nobody else to tell
}

func writeError(w http.ResponseWriter, err error) { writeProblem(w, problemOf(err)) }

// problemError makes a Problem an error that huma sends as it is.
type problemError api.Problem

func (p *problemError) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *problemError) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *problemError) ContentType(string) string { return problemType }

// Schema implements huma.SchemaProvider: in the document it is a Problem.
func (p *problemError) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[api.Problem](), true, "")
}

// humaError turns a backend's error into one that huma sends.
func humaError(err error) error {
	return (*problemError)(problemOf(err))
}

// newHumaError is huma.NewError: it gives huma's own errors our shape.
func newHumaError(status int, msg string, errs ...error) huma.StatusError {
	kind, ok := statusKind[status]
	if !ok {
		kind = api.Other
	}
	parts := []string{msg}
	for _, err := range errs {
		if err != nil {
			parts = append(parts, err.Error())
		}
	}
	return &problemError{
		Title: statusTitle(status), Status: status, Kind: kind.String(),
		Detail: strings.Join(parts, "; "), Op: "server.request",
	}
}

func init() {
	// huma lets a program choose its error type only through this variable. It is
	// set before main runs and never again.
	huma.NewError = newHumaError
}

// bodyError names what is wrong with a body that could not be decoded.
func bodyError(op string, err error) error {
	if big := sizeError(op, err); big != nil {
		return big
	}
	return api.E(op, api.Invalid, err)
}

// sizeError is the error of a body over its bound, or nil when err is another.
func sizeError(op string, err error) error {
	var tooLarge *http.MaxBytesError
	if !errors.As(err, &tooLarge) {
		return nil
	}
	return api.Errorf(op, api.Exhausted, fmt.Sprintf("the body has at most %d bytes", tooLarge.Limit))
}
