package shm

import (
	"slices"
	"time"
)

func median(v []time.Duration) time.Duration {
	slices.Sort(v)
	return v[len(v)/2]
}
