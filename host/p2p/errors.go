package p2p

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"inos/kernel/api"
)

// openError classifies why no stream to n could be opened: the caller's own
// end first.
func openError(ctx context.Context, op string, n api.NodeID, err error) error {
	if ctx.Err() != nil {
		return api.E(op, api.Other, ctx.Err())
	}
	return transferError(op, n, err)
}

// transferError classifies what went wrong on a stream to n.
func transferError(op string, n api.NodeID, err error) error {
	var own *api.Error
	switch {
	case errors.As(err, &own):
		return api.E(op, own.Kind, fmt.Errorf("the node %s: %w", n.Short(), err))
	case refusedByPeer(err):
		return api.Errorf(op, api.Denied, "the node "+n.Short()+" refused the request: this node is not a member there")
	case errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return api.E(op, api.Timeout, because("the node "+n.Short()+" sent or took nothing for too long", err))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return api.E(op, api.Other, err)
	}
	return api.E(op, api.Unavailable, because("the node "+n.Short()+" ended the transfer", err))
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// maxCause bounds the text of a cause; libp2p's dial errors run over many lines.
const maxCause = 300

// because explains msg by err on one line.
func because(msg string, err error) error {
	cause := strings.Join(strings.Fields(err.Error()), " ")
	if len(cause) > maxCause {
		cause = cause[:maxCause] + "..."
	}
	return &explained{text: msg + ": " + cause, cause: err}
}

type explained struct {
	text  string
	cause error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.cause }

func closedError(op string) error {
	return api.Errorf(op, api.Closed, "the node is stopping")
}

// messageOf is what a peer is told about err: the cause without this node's
// operations, never empty.
func messageOf(err error) string {
	var e *api.Error
	text := err.Error()
	if errors.As(err, &e) {
		text = e.Message()
	}
	if text == "" {
		text = api.KindOf(err).String()
	}
	return text
}
