package node

import (
	"strings"
	"unicode/utf8"

	"inos/kernel/module"
	"inos/kernel/wire"
)

// logTail keeps the end of what a guest logs, whole lines of at most
// wire.MaxResultLog bytes in all. One goroutine uses it.
type logTail struct {
	lines []string // oldest first
	bytes int      // of lines, with their line ends
	lost  bool     // older lines were dropped
}

// maxLogLine bounds one line; the rest of it is cut.
const maxLogLine = 1 << 10

// logCut is what a log begins with that lost lines.
const logCut = "(earlier lines are not kept)\n"

func (t *logTail) add(level module.LogLevel, line []byte) {
	text := strings.ToValidUTF8(string(line[:min(len(line), maxLogLine)]), string(utf8.RuneError))
	text = level.String() + " " + strings.ReplaceAll(text, "\n", " ") + "\n"
	t.lines = append(t.lines, text)
	for t.bytes += len(text); t.bytes > wire.MaxResultLog-len(logCut); t.lost = true {
		t.bytes -= len(t.lines[0])
		t.lines = t.lines[1:]
	}
}

// String is the log.
func (t *logTail) String() string {
	all := strings.Join(t.lines, "")
	if t.lost {
		return logCut + all
	}
	return all
}
