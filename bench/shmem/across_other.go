//go:build !linux

package shmem

import (
	"context"

	"inos/kernel/api"
)

// Ways to wake another process.
const (
	ByFutex  = "futex"
	ByPipe   = "pipe"
	BySocket = "socket"
)

// Child returns false: there is no other side here.
func Child() bool { return false }

// WakeAcross is measured on Linux only.
func WakeAcross(context.Context, string, int) (float64, error) {
	return 0, api.Errorf("shmem.across", api.Unsupported, "wakes between processes are measured on Linux only")
}
