package sched

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/wire"
)

var update = flag.Bool("update", false, "write the transcripts' effects anew")

// Transcripts are files of events, each line beginning with ">", and the effects
// that follow from them. Nodes are letters and self is A; jobs and commands are
// numbers; time is in milliseconds since the start.
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

// script plays one transcript.
type script struct {
	t        *testing.T
	m        *Machine
	now      int64
	commands []api.ID
	jobs     int
	attempts map[int]uint8
	seqs     map[int]uint64
	workers  map[int]api.NodeID
	seq      uint64
	opening  map[int][]api.Escrow
}

const start = int64(1_000_000)

func play(t *testing.T, text string) string {
	m, err := New(Config{Self: letter("A")})
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, m: m, now: start, attempts: map[int]uint8{}, seqs: map[int]uint64{}, workers: map[int]api.NodeID{}, opening: map[int][]api.Escrow{}}
	var out strings.Builder
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#"), strings.TrimSpace(line) == "":
			out.WriteString(line)
		case strings.HasPrefix(line, ">"):
			out.WriteString(line)
			for _, e := range s.m.Step(s.now, s.event(strings.Fields(line[1:]))) {
				out.WriteString("  " + s.show(e) + "\n")
			}
		}
	}
	return out.String()
}

func letter(s string) (id api.NodeID) { id[0] = s[0]; return id }
func name(id api.NodeID) string       { return string(id[:1]) }

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// args reads key=value fields.
func args(fields []string) map[string]string {
	out := map[string]string{}
	for _, f := range fields {
		k, v, _ := strings.Cut(f, "=")
		out[k] = v
	}
	return out
}

func (s *script) event(f []string) Event {
	a := args(f[1:])
	switch f[0] {
	case "opened", "refused", "closed":
		if number(f[1]) > len(s.commands) {
			s.t.Errorf("no command %s yet", f[1])
			return Tick{}
		}
	}
	switch f[0] {
	case "worker", "quoted":
		u := WorkerUpdate{Node: letter(f[1]), Online: true, Workers: 1, LatencyMS: 1, Quoted: f[0] == "quoted", ValidTill: s.now + 30_000}
		if v := a["workers"]; v != "" {
			u.Workers = uint16(number(v))
		}
		if v := a["price"]; v != "" {
			u.Price = api.Credits(number(v)) * api.Credit
		}
		return u
	case "lost":
		return WorkerLost{letter(f[1])}
	case "submit":
		return s.submit(a)
	case "opened":
		for i, e := range s.opening[number(f[1])] {
			s.seqs[int(e.Job[15])] = s.seq + 1 + uint64(i)
		}
		first := s.seq + 1
		s.seq += uint64(len(s.opening[number(f[1])]))
		return EscrowOpened{s.commands[number(f[1])-1], first}
	case "refused":
		return EscrowFailed{s.commands[number(f[1])-1], api.KindNamed(f[2]), f[2]}
	case "closed":
		return Closed{s.commands[number(f[1])-1]}
	case "finished":
		return s.finished(number(f[1]), a)
	case "failed":
		return Failed{jobNumber(number(f[1])), s.attempts[number(f[1])], api.Unavailable, "no answer"}
	case "cancel":
		if f[1] == "all" {
			return Cancel{Batch: api.ID{1}}
		}
		return Cancel{Job: jobNumber(number(f[1]))}
	case "wait":
		s.now += int64(number(f[1]))
		return Tick{}
	}
	s.t.Fatalf("an unknown event %v", f)
	return nil
}

func jobNumber(n int) (id api.ID) { id[0], id[15] = 9, byte(n); return id }

func (s *script) submit(a map[string]string) Event {
	jobs := make([]Job, number(a["jobs"]))
	for i := range jobs {
		s.jobs++
		spec := api.JobSpec{ID: jobNumber(s.jobs), Limits: api.Limits{Gas: api.Ggas, WallMS: 1000}}
		if v := a["node"]; v != "" {
			spec.Node = letter(v)
		}
		if v := a["cap"]; v != "" {
			spec.PriceCap = api.Credits(number(v)) * api.Credit
		}
		if v := a["priority"]; v != "" {
			if err := spec.Priority.UnmarshalText([]byte(v)); err != nil {
				s.t.Fatal(err)
			}
		}
		if v := a["deadline"]; v != "" {
			spec.Deadline = s.now + int64(number(v))
		}
		jobs[i] = Job{Spec: spec}
		if v := a["holders"]; v != "" {
			jobs[i].Size = 10 << 20
			jobs[i].Holders = []api.NodeID{letter(string(v[i%len(v)]))}
		}
	}
	batch := api.ID{1}
	if v := a["batch"]; v != "" {
		batch[0] = byte(number(v))
	}
	return Submit{Batch: batch, Jobs: jobs}
}

func (s *script) finished(n int, a map[string]string) Event {
	attempt := s.attempts[n]
	if v := a["attempt"]; v != "" {
		attempt = uint8(number(v))
	}
	r := api.JobResult{ID: jobNumber(n), Worker: s.workers[n*100+int(attempt)], Kind: api.KindNamed(a["kind"]), Gas: api.Ggas / 2, RunUS: 1000}
	if e := s.m.escrows[wire.EscrowID(r.ID, attempt)]; e != nil {
		r.Escrow = e.Seq
	}
	if v := a["gas"]; v != "" {
		r.Gas = uint64(number(v))
	}
	return Finished{Attempt: attempt, Result: r}
}

func (s *script) command(id api.ID) string {
	for i, c := range s.commands {
		if c == id {
			return "#" + strconv.Itoa(i+1)
		}
	}
	s.commands = append(s.commands, id)
	return "#" + strconv.Itoa(len(s.commands))
}

func (s *script) show(effect Effect) string {
	switch e := effect.(type) {
	case Refused:
		return fmt.Sprintf("refused: %v", e.Err)
	case Quote:
		return "quote from " + name(e.Node)
	case OpenEscrow:
		c := s.command(e.Command)
		s.opening[number(c[1:])] = e.Escrows
		text := "open " + c + ":"
		for _, v := range e.Escrows {
			text += fmt.Sprintf(" job %d at %s for %v", v.Job[15], name(v.Worker), v.Amount)
		}
		return text
	case Dispatch:
		n := int(e.Spec.ID[15])
		s.attempts[n] = e.Attempt
		s.workers[n*100+int(e.Attempt)] = e.To
		return fmt.Sprintf("dispatch job %d attempt %d to %s, escrow %v", n, e.Attempt, name(e.To), e.Escrow.Amount)
	case Stop:
		return fmt.Sprintf("stop job %d attempt %d at %s", e.Job[15], e.Attempt, name(e.To))
	case Settle:
		text := "settle " + s.command(e.Command) + ":"
		for _, v := range e.Settlements {
			text += fmt.Sprintf(" job %d", v.Proof.Job[15])
		}
		return text
	case Refund:
		return fmt.Sprintf("refund %s: %d escrows", s.command(e.Command), len(e.Escrows))
	case JobChanged:
		text := fmt.Sprintf("job %d is %s", e.Job[15], e.State)
		if !e.Node.IsZero() {
			text += " at " + name(e.Node)
		}
		if e.Price > 0 {
			text += " for " + e.Price.String()
		}
		if e.Kind != api.Other {
			text += fmt.Sprintf(" (%s: %s)", e.Kind, e.Message)
		}
		return text
	case BatchDone:
		return fmt.Sprintf("batch: %d done, %d failed, %d stopped", e.Done, e.Failed, e.Stopped)
	}
	return "?"
}
