package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"inos/kernel/api"
)

// note prints a line for people on standard error: what a command did, where
// its result does not say so. --quiet and --json leave it out.
func (a *app) note(format string, args ...any) {
	if !a.quiet && !a.json {
		_, _ = fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// noteMoved sums up a transfer: how much, how fast and what else matters.
func (a *app) noteMoved(name string, files, bytes uint64, took time.Duration, more ...string) {
	parts := []string{bytesText(bytes) + " in " + count(files, "file")}
	if took > 0 {
		parts = append(parts, durationText(took)+rateText(bytes, took))
	}
	a.note("%s: %s", printable(name), strings.Join(append(parts, nonEmpty(more...)...), ", "))
}

// rateText is a speed in MB/s, for transfers that took long enough to have one.
func rateText(bytes uint64, took time.Duration) string {
	if took < time.Millisecond || bytes < 1<<20 {
		return ""
	}
	v, digits := float64(bytes)/1e6/took.Seconds(), 1
	if v >= 9.95 {
		digits = 0
	}
	return " at " + strconv.FormatFloat(v, 'f', digits, 64) + " MB/s"
}

// copiesText says how many of the wanted copies are on disk.
func copiesText(o api.Object) string {
	if o.Acks >= o.Copies {
		return count(uint64(o.Acks), "copy")
	}
	return fmt.Sprintf("%d of %s so far; the rest follow when more nodes are online", o.Acks, count(uint64(o.Copies), "copy"))
}

// storedText says what an object takes on each holder's disk.
func storedText(o api.Object) string {
	return "stored as " + bytesText(o.Wire) + " in " + count(o.Blocks, "block")
}
