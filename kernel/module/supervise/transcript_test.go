package supervise

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"inos/kernel/api"
)

var update = flag.Bool("update", false, "write the transcripts' effects anew")

// Transcripts are files of events, each line beginning with ">", and the effects
// that follow from them. Modules are small letters, payers capitals, inputs and
// times (milliseconds since the start) numbers.
//
//	call M P OUTCOME [INPUT]   arrives, begins and ends at once
//	arrive | leave | begin M P, end M P OUTCOME [INPUT], last M P, reset M, wait MS, show M
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("got:\n%s", got)
			}
		})
	}
}

const start = int64(1_000_000)

type script struct {
	t   *testing.T
	m   *Machine
	now int64
	out strings.Builder
	inc map[string]uint64 // module and payer: incarnation when its call began
}

func play(t *testing.T, text string) string {
	m, err := New(Config{Modules: 2})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, m: m, now: start, inc: map[string]uint64{}}
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"), strings.TrimSpace(line) == "":
			s.out.WriteString(line)
		case strings.HasPrefix(line, ">"):
			s.out.WriteString(line)
			s.do(strings.Fields(line[1:]))
		}
	}
	return s.out.String()
}

func hash(name string) (h api.Hash)    { copy(h[:], name); return h }
func node(name string) (id api.NodeID) { copy(id[:], name); return id }
func name(b []byte) string             { return strings.TrimRight(string(b), "\x00") }

var outcomes = map[string]Outcome{"ok": Success, "trap": Trap, "nostart": StartCrash, "neutral": Neutral}

func (s *script) do(f []string) {
	switch f[0] {
	case "wait":
		ms, err := strconv.Atoi(f[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now += int64(ms)
	case "show":
		s.show(f[1])
	case "arrive":
		s.step(Arrived{hash(f[1]), node(f[2])})
	case "leave":
		s.step(Left{hash(f[1])})
	case "begin":
		s.begin(f)
	case "end":
		s.end(f)
	case "last":
		s.step(Lasted{hash(f[1]), node(f[2])})
	case "reset":
		s.step(Reset{hash(f[1])})
	case "call":
		if s.step(Arrived{hash(f[1]), node(f[2])}) && s.begin(f) {
			s.end(f)
		}
	default:
		s.t.Fatalf("an unknown event %v", f)
	}
}

func (s *script) begin(f []string) bool {
	s.inc[f[1]+f[2]] = s.m.Incarnation(hash(f[1]))
	return s.step(Began{hash(f[1]), node(f[2])})
}

func (s *script) end(f []string) {
	input := "1"
	if len(f) > 4 {
		input = f[4]
	}
	s.step(Ended{
		Module: hash(f[1]), Payer: node(f[2]), Input: hash(input), Incarnation: s.inc[f[1]+f[2]], Outcome: outcomes[f[3]], Gas: 10, Reason: "it broke",
	})
}

// step reports whether nothing was refused.
func (s *script) step(ev Event) bool {
	ok := true
	for _, e := range s.m.Step(s.now, ev) {
		switch e := e.(type) {
		case Refused:
			ok = false
			text := "refused: " + e.Cause.String()
			if e.Until > 0 {
				text += fmt.Sprintf(" for %d ms", e.Until-s.now)
			}
			fmt.Fprintf(&s.out, "  %s\n", text)
		case Changed:
			text := fmt.Sprintf("%s: %s -> %s", name(e.Module[:]), e.From, e.To)
			if e.Reason != "" {
				text += " (" + e.Reason + ")"
			}
			fmt.Fprintf(&s.out, "  %s\n", text)
		case KeptOut:
			fmt.Fprintf(&s.out, "  %s kept out of %s for %d ms\n", name(e.Payer[:]), name(e.Module[:]), e.Until-s.now)
		case Dropped:
			fmt.Fprintf(&s.out, "  dropped %s\n", name(e.Module[:]))
		}
	}
	return ok
}

func (s *script) show(module string) {
	v, ok := s.m.View(hash(module))
	if !ok {
		fmt.Fprintf(&s.out, "  %s has no supervisor\n", module)
		return
	}
	fmt.Fprintf(&s.out, "  %s slot %d %s since %d: %d queued, %d running, %d calls, %d gas, %d restarts, %d in a row, %d kept out\n",
		module, v.Slot, v.State, v.Since-start, v.Queued, v.Running, v.Calls, v.Gas, v.Restarts, v.Crashes, len(v.KeptOut))
}
