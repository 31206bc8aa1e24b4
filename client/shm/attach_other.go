//go:build !linux

package shm

import (
	"context"
	"os"

	"inos/host/shm"
	"inos/kernel/api"
)

type connection struct{}

func (connection) close() {}

type reply struct{}

var errUnsupported = api.Errorf("shm.attach", api.Unsupported, "other processes can attach on Linux only; use the node's API")

// Attach is described in attach_linux.go.
func Attach(context.Context, string, Options) (*Lease, error) { return nil, errUnsupported }

func (l *Lease) request(context.Context, shm.Request) (shm.Answer, *os.File, error) {
	return shm.Answer{}, nil, errUnsupported
}

func (l *Lease) mapRegion(context.Context, shm.Request, func(*os.File) (*shm.Region, error)) (shm.Answer, *shm.Region, error) {
	return shm.Answer{}, nil, errUnsupported
}
