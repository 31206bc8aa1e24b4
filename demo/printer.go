package demo

import (
	"fmt"
	"io"
	"strings"
)

// printer writes the story: numbered chapters, aligned rows, quiet notes.
type printer struct {
	w       io.Writer
	color   bool
	chapter func(title string)
}

func newPrinter(opt Options) printer {
	p := printer{w: opt.Out, color: opt.Color}
	if opt.JSON {
		p.w, p.color = io.Discard, false
	}
	number := 0
	p.chapter = func(title string) {
		number++
		fmt.Fprintf(p.w, "\n%s %s\n", p.paint("36;1", fmt.Sprintf(" %d ", number)), p.bold(title))
	}
	return p
}

func (p printer) paint(code, s string) string {
	if !p.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p printer) bold(s string) string { return p.paint("1", s) }
func (p printer) good(s string) string { return p.paint("32", s) }
func (p printer) warn(s string) string { return p.paint("31", s) }
func (p printer) dim(s string) string  { return p.paint("2", s) }

func (p printer) title(lines ...string) {
	fmt.Fprintf(p.w, "\n%s\n", p.bold(lines[0]))
	for _, l := range lines[1:] {
		fmt.Fprintf(p.w, "%s\n", p.dim(l))
	}
}

// row aligns its label to ten columns whatever colours it carries.
func (p printer) row(label, text string) {
	visible := strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "").Replace(label)
	pad := strings.Repeat(" ", max(10-len(visible), 1))
	fmt.Fprintf(p.w, "    %s\n", strings.TrimRight(label+pad+text, " "))
}

func (p printer) command(format string, args ...any) {
	fmt.Fprintf(p.w, "    %s\n", p.paint("33", "$ "+fmt.Sprintf(format, args...)))
}

func (p printer) note(format string, args ...any) {
	fmt.Fprintf(p.w, "    %s\n", p.dim(fmt.Sprintf(format, args...)))
}

// bar draws part of total in width cells.
func (p printer) bar(part, total uint64, width int) string {
	full := 0
	if total > 0 {
		full = int(part * uint64(width) / total)
	}
	return p.paint("36", strings.Repeat("█", full)) + p.dim(strings.Repeat("·", width-full))
}
