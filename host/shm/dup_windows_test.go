package shm

import (
	"os"
	"testing"
)

func duplicate(t *testing.T, file *os.File) *os.File {
	t.Helper()
	again, err := os.OpenFile(file.Name(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	return again
}
