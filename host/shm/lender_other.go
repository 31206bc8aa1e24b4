//go:build !linux

package shm

import "inos/kernel/api"

// Lender is described in lender_linux.go.
type Lender struct{}

// Lend needs a system that reopens a file for reading only and says who is at
// the other end of a socket: Linux.
func Lend(LenderConfig) (*Lender, error) {
	return nil, api.Errorf("shm.lend", api.Unsupported, "other processes can attach on Linux only")
}

// Leases lists nobody.
func (*Lender) Leases() []LeaseInfo { return nil }

// Regions lists nothing.
func (*Lender) Regions() []RegionInfo { return nil }

// Close does nothing.
func (*Lender) Close() error { return nil }
