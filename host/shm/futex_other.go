//go:build !linux

package shm

import "inos/kernel/epoch"

// Waker is described in futex_linux.go.
func Waker() epoch.Futex { return nil }
