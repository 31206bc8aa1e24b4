package shm

import (
	"golang.org/x/sys/unix"

	"inos/kernel/api"
)

// Discard gives the memory of n bytes from off, whole pages, back to the system. They
// read as zeros in every mapping from then on, and take memory again once written.
func (r *Region) Discard(off, n uint64) error {
	b := r.Bytes()
	if n == 0 || off%pageBytes != 0 || n%pageBytes != 0 || off > uint64(len(b)) || n > uint64(len(b))-off {
		return api.Errorf("shm.discard", api.Invalid, "whole pages of the region are discarded")
	}
	return unix.Madvise(b[off:off+n], unix.MADV_REMOVE)
}

const pageBytes = 4096
