package shm

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"inos/kernel/api"
)

// noReserve lets closed regions count nothing against the overcommit limit.
const noReserve = unix.MAP_NORESERVE

// seals fix the size for good.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

func create(size uint64) (*os.File, error) {
	fd, err := unix.MemfdCreate("inos-arena", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "inos-arena")
	err = file.Truncate(int64(size))
	if err == nil {
		// So that who gets the file read-only cannot simply open it again for writing.
		err = file.Chmod(0o400)
	}
	if err == nil {
		_, err = unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func checkSealed(file *os.File) error {
	got, err := unix.FcntlInt(file.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || got&unix.F_SEAL_SHRINK == 0 {
		return api.Errorf("shm.seals", api.Denied, "the file is not shared memory sealed against shrinking; it must come from a node")
	}
	return nil
}
