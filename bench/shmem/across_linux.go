package shmem

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"inos/host/shm"
	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// Ways to wake another process.
const (
	ByFutex  = "futex"  // an epoch cell in memory that both map
	ByPipe   = "pipe"   // a byte through a pipe each way
	BySocket = "socket" // a byte through a Unix socket pair
)

// childEnv tells a process that it is the other side of WakeAcross.
const childEnv = "INOS_SHMEM_PEER"

// Child serves WakeAcross and returns true if this process was started for that.
// A program that calls WakeAcross calls it first.
func Child() bool {
	way := os.Getenv(childEnv)
	if way == "" {
		return false
	}
	side, err := openSide(way, os.NewFile(3, "in"), os.NewFile(4, "out"), true)
	for err == nil {
		if err = side.await(context.Background()); err == nil {
			err = side.signal()
		}
	}
	return true
}

// side is one of the two processes that wake each other.
type side struct {
	await  func(context.Context) error
	signal func() error
}

// openSide makes the side that awaits on in and signals on out. For ByFutex both
// are the same region.
func openSide(way string, in, out *os.File, child bool) (side, error) {
	if way != ByFutex {
		b := make([]byte, 1)
		return side{
			await:  func(context.Context) error { _, err := io.ReadFull(in, b); return err },
			signal: func() error { _, err := out.Write(b); return err },
		}, nil
	}
	region, err := shm.Open(in)
	if err != nil {
		return side{}, err
	}
	mine, theirs := uint64(0), uint64(2*layout.Line)
	if child {
		mine, theirs = theirs, mine
	}
	cell := func(at uint64) *epoch.Cell { return epoch.New(region.Bytes()[at:][:layout.EpochCellSize]) }
	follow, share := cell(mine).Follow(shm.Waker()), cell(theirs).Share(shm.Waker())
	seen := uint32(0)
	return side{
		await: func(ctx context.Context) (err error) { seen, err = follow.Await(ctx, seen); return err },
		signal: func() error {
			share.Advance()
			return nil
		},
	}, nil
}

// WakeAcross returns the median nanoseconds in which one process wakes another
// that sleeps, in the given way. It runs this program again, whose main must
// call Child.
func WakeAcross(ctx context.Context, way string, rounds int) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	mine, theirs, err := ends(way)
	if err != nil {
		return 0, api.E("shmem.across", api.Exhausted, err)
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, api.E("shmem.across", api.Other, err)
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), childEnv+"="+way)
	cmd.ExtraFiles = theirs[:]
	if err := cmd.Start(); err != nil {
		return 0, api.E("shmem.across", api.Other, err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for _, f := range theirs {
		_ = f.Close()
	}
	s, err := openSide(way, mine[0], mine[1], false)
	if err != nil {
		return 0, err
	}
	trip := func() error { return errors.Join(s.signal(), s.await(ctx)) }
	if err := trip(); err != nil { // until the child is there
		return 0, err
	}
	return halfTrips(rounds, trip)
}

// ends makes the files of both sides: what each reads and what it writes.
func ends(way string) (mine, theirs [2]*os.File, err error) {
	switch way {
	case ByFutex:
		r, err := shm.Create(shm.Granule)
		if err != nil {
			return mine, theirs, err
		}
		defer func() { _ = r.Close() }()
		file, err := r.File()
		for _, f := range []**os.File{&mine[0], &mine[1], &theirs[0], &theirs[1]} {
			if err == nil {
				*f, err = again(file)
			}
		}
		return mine, theirs, err
	case ByPipe:
		if mine[0], theirs[1], err = os.Pipe(); err == nil {
			theirs[0], mine[1], err = os.Pipe()
		}
		return mine, theirs, err
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return mine, theirs, err
	}
	a, b := os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
	mine = [2]*os.File{a, a}
	theirs[0] = b
	theirs[1], err = again(b)
	return mine, theirs, err
}

// again duplicates a file, so that each side closes its own.
func again(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
