//go:build !js

package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// HostConfig is what only native hosts need: nothing so far.
type HostConfig struct{}

// firstOffer is what Offer begins with.
func (c Config) firstOffer() int { return c.Workers }

func absolute(dir string) (string, error) { return filepath.Abs(dir) }

func hostname() string {
	h, _ := os.Hostname()
	return h
}

// residentBytes is the process's resident memory; 0 where the system does not tell.
func residentBytes() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(f[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}
