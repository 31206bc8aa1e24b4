//go:build unix

package shm

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func duplicate(t *testing.T, file *os.File) *os.File {
	t.Helper()
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "shared")
}
