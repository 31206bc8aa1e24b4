//go:build unix && !linux

package shm

import (
	"errors"
	"os"
)

const noReserve = 0

// create makes a temporary file and takes its name away at once, so that it ends
// with its last user and nobody else can open it.
func create(size uint64) (*os.File, error) {
	file, err := os.CreateTemp("", "inos-arena-*")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Remove(file.Name()), file.Truncate(int64(size))); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// checkSealed accepts every file: these systems have no seals, so a region is
// only as trustworthy as the process it came from, which the node's socket
// authenticates.
func checkSealed(*os.File) error { return nil }
