//go:build !js

package p2p

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
)

func TestDialErrorsAreBrief(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	d := &swarm.DialError{Cause: swarm.ErrAllDialsFailed}
	for range 3 {
		d.DialErrors = append(d.DialErrors, swarm.TransportError{Cause: fmt.Errorf("failed to negotiate: %w", refused)})
	}
	d.DialErrors = append(d.DialErrors, swarm.TransportError{Cause: errors.New("timeout: no recent network activity")})
	err := brief(fmt.Errorf("connecting: %w", d))
	if got, want := err.Error(), "connection refused; timeout: no recent network activity"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, new(*swarm.DialError)) {
		t.Error("the cause is lost")
	}
	if got := brief(&swarm.DialError{Cause: swarm.ErrNoGoodAddresses}); got.Error() != swarm.ErrNoGoodAddresses.Error() {
		t.Errorf("without a dial: %v", got)
	}
	if other := errors.New("other"); !errors.Is(brief(other), other) || brief(nil) != nil {
		t.Error("another error is changed")
	}
}
