package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"inos/kernel/api"
)

type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	dim    colour = "2"
	bold   colour = "1"
)

// paint colours s for a terminal whose user has not asked otherwise.
//
// Source: https://no-color.org
func (a *app) paint(tty bool, c colour, s string) string {
	if !tty || a.env("NO_COLOR") != "" || a.env("TERM") == "dumb" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// printable makes text from elsewhere harmless to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// table prints aligned columns. Cells hold no colour; paint colours a whole
// column's cell after alignment.
type table struct {
	head  []string
	right map[int]bool // columns aligned right
	rows  [][]string
	tint  func(row, col int) colour // optional
}

func (a *app) print(t table) {
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	a.row(t, width, t.head, func(int) colour { return dim })
	for r, row := range t.rows {
		a.row(t, width, row, func(col int) colour {
			if t.tint == nil {
				return ""
			}
			return t.tint(r, col)
		})
	}
}

func (a *app) row(t table, width []int, cells []string, tint func(col int) colour) {
	var b strings.Builder
	for i, cell := range cells {
		pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
		text := cell
		if c := tint(i); c != "" {
			text = a.paint(a.outTTY, c, cell)
		}
		switch {
		case t.right[i]:
			b.WriteString(pad + text)
		case i == len(cells)-1:
			b.WriteString(text)
		default:
			b.WriteString(text + pad)
		}
		if i < len(cells)-1 {
			b.WriteString("  ")
		}
	}
	_, _ = io.WriteString(a.stdout, strings.TrimRight(b.String(), " ")+"\n")
}

// fields prints a short list of names and values.
func (a *app) fields(pairs ...string) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		width = max(width, len(pairs[i]))
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			label := a.paint(a.outTTY, dim, fmt.Sprintf("%-*s", width, pairs[i]))
			_, _ = fmt.Fprintf(a.stdout, "%s  %s\n", label, pairs[i+1])
		}
	}
}

// count writes a number and its noun.
func count(n uint64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if stem, ok := strings.CutSuffix(one, "y"); ok { // copy, entry
		one = stem + "ie"
	}
	return strconv.FormatUint(n, 10) + " " + one + "s"
}

// bytesText renders a size in binary units: 999 B, 1.5 MiB, 12 GiB.
func bytesText(n uint64) string {
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	v, unit := float64(n), 0
	for v >= 1024 && unit < 6 {
		v /= 1024
		unit++
	}
	digits := 1
	if v >= 9.95 {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}[unit]
}

// parseBytes reads a size: 500000, 200GiB, 1.5TB.
func parseBytes(s string) (uint64, error) {
	text := strings.TrimSpace(s)
	i := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	unit := ""
	if i >= 0 {
		text, unit = text[:i], strings.ToLower(strings.TrimSpace(text[i:]))
	}
	scale, ok := map[string]float64{
		"": 1, "b": 1,
		"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
		"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
		"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
		"t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
	}[unit]
	v, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil || v < 0 || v*scale >= 1<<63 {
		return 0, api.Errorf("cli.size", api.Invalid, s+" is not a size; write it like 200GiB")
	}
	return uint64(v * scale), nil
}

// parseDuration reads 90m, 12h, 30d, 2w or 1y.
func parseDuration(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	for unit, d := range map[string]time.Duration{"d": day, "w": 7 * day, "y": 365 * day} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			v, err := strconv.ParseFloat(n, 64)
			if err == nil && v > 0 && v*float64(d) < float64(100*365*day) {
				return time.Duration(v * float64(d)), nil
			}
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, api.Errorf("cli.duration", api.Invalid, s+" is not a duration; write it like 12h, 30d or 1y")
	}
	return d, nil
}

// durationText renders a span in its two largest units.
func durationText(d time.Duration) string {
	day := 24 * time.Hour
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.3g ms", float64(d.Microseconds())/1000)
	case d < time.Minute:
		return fmt.Sprintf("%.3g s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < day:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd %dh", int(d/day), int((d%day)/time.Hour))
}

// ago renders a moment in Unix milliseconds against the present.
func (a *app) ago(ms int64) string {
	if ms == 0 {
		return "-"
	}
	d := a.now().Sub(time.UnixMilli(ms))
	if d < time.Second {
		return "now"
	}
	return durationText(d.Truncate(time.Second)) + " ago"
}

// until renders an expiry in Unix seconds.
func (a *app) until(sec int64) string {
	if sec == 0 {
		return "-" // until removed
	}
	return time.Unix(sec, 0).UTC().Format("2006-01-02")
}

// gasText renders gas with a metric unit.
func gasText(g uint64) string {
	switch {
	case g >= 1_000_000_000:
		return fmt.Sprintf("%.3g G", float64(g)/1e9)
	case g >= 1_000_000:
		return fmt.Sprintf("%.3g M", float64(g)/1e6)
	case g >= 1_000:
		return fmt.Sprintf("%.3g k", float64(g)/1e3)
	}
	return strconv.FormatUint(g, 10)
}

// parseGas reads an amount of gas: 500000, 500M, 20G, 1.5T.
func parseGas(s string) (uint64, error) {
	text, scale := strings.TrimSpace(s), 1.0
	for unit, by := range map[string]float64{"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			text, scale = strings.TrimSpace(n), by
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v*scale >= 1 && v*scale < 1<<63) {
		return 0, api.Errorf("cli.gas", api.Invalid, s+" is not an amount of gas; write it like 500M or 20G")
	}
	return uint64(v * scale), nil
}
