package demo

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"inos/cluster"
	"inos/kernel/api"
)

//go:embed set
var set embed.FS

// Options say what to demonstrate and how to show it.
type Options struct {
	Exe    string        // the inos binary that is started for each node
	Folder string        // what is put; empty means the built-in pictures
	Dir    string        // where the nodes keep their data; empty means a temporary folder that is removed
	Exit   bool          // end after the story instead of waiting
	Pause  time.Duration // before the kill, to open the page and watch it there
	JSON   bool          // print only a Report
	Color  bool          // the output is a terminal that shows colours
	Out    io.Writer     //
}

// Report is the story in figures.
type Report struct {
	Nodes       []string         `json:"nodes"`
	ReadyMS     float64          `json:"ready_ms"` // from starting the first process until it serves
	Link        api.Link         `json:"link"`
	Files       uint64           `json:"files"`
	Bytes       uint64           `json:"bytes"`
	Blocks      uint64           `json:"blocks"`
	Wire        uint64           `json:"wire"`
	Acks        uint8            `json:"acks"`
	PutMS       float64          `json:"put_ms"`
	Jobs        int              `json:"jobs"`
	JobsByNode  map[string]int   `json:"jobs_by_node"`
	JobsMS      float64          `json:"jobs_ms"`
	Gas         uint64           `json:"gas"`
	JobsPrice   api.Credits      `json:"jobs_price"`
	Killed      string           `json:"killed"`
	Verified    int              `json:"verified"` // files that came back identical after the kill
	GetMS       float64          `json:"get_ms"`
	RepairMS    float64          `json:"repair_ms"` // from the replacement's start until every block had its copies again
	Copies      uint8            `json:"copies"`
	Balances    []api.Balance    `json:"balances"`
	Total       api.Credits      `json:"total"`
	Genesis     api.Credits      `json:"genesis"`
	CauseTotals map[string]int64 `json:"cause_totals"` // microcredits moved, by cause
}

// story is one telling.
type story struct {
	opt    Options
	out    printer
	report Report
	dir    string // of the nodes
	folder string // being put
	mesh   *cluster.Cluster
	files  []string // regular files of folder, relative
}

// Run tells the story. It returns the first thing that did not hold.
func Run(ctx context.Context, opt Options) (err error) {
	s := &story{opt: opt, out: newPrinter(opt), report: Report{JobsByNode: map[string]int{}, CauseTotals: map[string]int64{}}}
	if err := s.prepare(); err != nil {
		return err
	}
	defer func() {
		s.mesh.Stop()
		if opt.Dir == "" {
			_ = os.RemoveAll(s.dir)
		}
	}()
	s.out.title("INOS makes one computer of several machines.", "Three nodes on this machine stand in for three of yours.")
	for _, chapter := range []func(context.Context) error{s.gather, s.keep, s.work, s.lose, s.repair, s.account} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	if opt.JSON {
		enc := json.NewEncoder(opt.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(s.report)
	}
	if opt.Exit {
		return nil
	}
	s.farewell(ctx)
	<-ctx.Done()
	return nil
}

// prepare lays out the folders and lists what will be put.
func (s *story) prepare() (err error) {
	s.dir = s.opt.Dir
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "inos-demo-"); err != nil {
			return api.E("demo", api.NoSpace, err)
		}
	}
	s.mesh = &cluster.Cluster{Exe: s.opt.Exe, Dir: s.dir}
	s.folder = s.opt.Folder
	if s.folder == "" {
		s.folder = filepath.Join(s.dir, "pictures")
		if err := copySet(s.folder); err != nil {
			return err
		}
	}
	info, err := os.Stat(s.folder)
	if err != nil || !info.IsDir() {
		return api.Errorf("demo", api.NotFound, s.folder+" is not a folder")
	}
	return filepath.WalkDir(s.folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(s.folder, path)
			s.files = append(s.files, filepath.ToSlash(rel))
		}
		return err
	})
}

// copySet writes the built-in pictures to a folder.
func copySet(to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return api.E("demo", api.NoSpace, err)
	}
	entries, err := set.ReadDir("set")
	if err != nil {
		return api.E("demo", api.Other, err)
	}
	for _, e := range entries {
		b, err := set.ReadFile("set/" + e.Name())
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o644)
		}
		if err != nil {
			return api.E("demo", api.NoSpace, err)
		}
	}
	return nil
}

// gather starts three nodes; the first founds the mesh and invites the others.
func (s *story) gather(ctx context.Context) error {
	s.out.chapter("Three nodes form a private mesh")
	begin := time.Now()
	for i, name := range []string{"anna", "bela", "cleo"} {
		a, err := s.mesh.Enter(ctx, name)
		if err != nil {
			return err
		}
		s.report.Nodes = append(s.report.Nodes, name)
		if i == 0 {
			s.report.ReadyMS = ms(a.Ready)
			s.out.row(s.out.bold(name), fmt.Sprintf("founded the mesh; serving %s after its start", a.Ready.Round(time.Millisecond)))
		} else {
			s.out.row(s.out.bold(name), "joined with a one-time invite")
		}
	}
	if err := s.mesh.Together(ctx); err != nil {
		return err
	}
	s.out.note("Connected and authenticated in %s. Anybody without an invite is refused.", time.Since(begin).Round(10*time.Millisecond))
	s.page(ctx, "watch it all in a browser")
	return nil
}

// keep puts the folder on the first node and shows where the copies are.
func (s *story) keep(ctx context.Context) error {
	s.out.chapter("Files go in on one node and are kept by three")
	s.out.command("inos put %s", filepath.Base(s.folder))
	begin := time.Now()
	obj, err := s.mesh.Nodes[0].PutFolder(ctx, s.folder, api.Policy{})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	r := &s.report
	r.Link, r.Files, r.Bytes, r.Blocks, r.Wire, r.Acks, r.PutMS = obj.Link, obj.Files, obj.Bytes, obj.Blocks, obj.Wire, obj.Acks, ms(took)
	s.out.row("link", s.out.bold(shorten(obj.Link.String(), 62)))
	s.out.row("put", fmt.Sprintf("%d files, %s, as %d sealed blocks of %s in %s", obj.Files, size(obj.Bytes), obj.Blocks, size(obj.Wire), took.Round(time.Millisecond)))
	s.out.row("receipts", fmt.Sprintf("%d nodes signed for every block before the put was acknowledged", obj.Acks))
	if obj.Acks < 3 {
		return api.Errorf("demo", api.Unavailable, "fewer than three nodes signed for the files")
	}
	return s.showCopies(ctx, s.mesh.Nodes[0])
}

// showCopies prints how much of the object each node holds.
func (s *story) showCopies(ctx context.Context, ask *cluster.Node) error {
	h, err := ask.Client.Holders(ctx, s.report.Link)
	if err != nil {
		return err
	}
	s.report.Copies = h.Copies
	sort.Slice(h.Holders, func(i, j int) bool { return h.Holders[i].Name < h.Holders[j].Name })
	for _, row := range h.Holders {
		state := ""
		if !row.Online {
			state = s.out.warn("gone")
		}
		s.out.row(s.out.bold(row.Name), fmt.Sprintf("%s %4d of %d blocks  %9s  %s", s.out.bar(row.Blocks, h.Blocks, 20), row.Blocks, h.Blocks, size(row.Bytes), state))
	}
	return nil
}

// work makes thumbnails of the pictures on whichever node suits.
func (s *story) work(ctx context.Context) error {
	var inputs []api.RunInput
	for _, f := range s.files {
		switch strings.ToLower(filepath.Ext(f)) {
		case ".jpg", ".jpeg", ".png", ".webp":
			inputs = append(inputs, api.RunInput{Link: s.report.Link, Path: f})
		}
	}
	if len(inputs) == 0 {
		return nil
	}
	s.out.chapter("WebAssembly works next to the data")
	s.out.command("inos run compute/image.thumbnail --param width=256 LINK")
	begin := time.Now()
	var failed error
	err := s.mesh.Nodes[0].Client.Run(ctx, api.RunRequest{
		Module: "compute", Unit: "image", Method: "thumbnail", Params: json.RawMessage(`{"width":256}`), Inputs: inputs,
	}, func(j api.Job) error {
		if !j.State.Final() {
			return nil
		}
		if j.State != api.JobDone {
			failed = api.Errorf("demo", j.Result.Kind, j.Name+": "+j.Result.Message)
			return nil
		}
		s.finished(j)
		return nil
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	took := time.Since(begin)
	s.report.JobsMS = ms(took)
	var parts []string
	for _, a := range s.mesh.Nodes {
		parts = append(parts, fmt.Sprintf("%s %d", a.Name, s.report.JobsByNode[a.Name]))
	}
	s.out.note("%d pictures in %s (%s), %s gas, paid from escrow. A job gives the same bytes and gas on every node.",
		s.report.Jobs, took.Round(10*time.Millisecond), strings.Join(parts, ", "), group(s.report.Gas))
	return nil
}

func (s *story) finished(j api.Job) {
	r := &s.report
	r.Jobs++
	r.Gas += j.Result.Gas
	r.JobsPrice += j.Price
	name := s.mesh.NameOf(j.Result.Worker)
	r.JobsByNode[name]++
	price := "free here"
	if j.Price > 0 {
		price = j.Price.String() + " cr"
	}
	s.out.row(s.out.bold(name), fmt.Sprintf("%-22s %5d ms  %8s  %s", shorten(j.Name, 22), j.Result.RunUS/1000, size(j.Result.OutputSize), price))
}

// lose kills the third node and reads everything back through the second.
func (s *story) lose(ctx context.Context) error {
	s.out.chapter("A node is killed; nothing is lost")
	if err := s.pause(ctx); err != nil {
		return err
	}
	victim := s.mesh.Nodes[2]
	s.report.Killed = victim.Name
	s.out.command("kill -9 %d   # %s", victim.PID(), victim.Name)
	victim.Kill()
	s.out.command("inos get LINK   # on %s", s.mesh.Nodes[1].Name)
	begin := time.Now()
	n, err := s.mesh.Nodes[1].Verify(ctx, s.report.Link, s.folder)
	if err != nil {
		return err
	}
	if n != len(s.files) {
		return api.Errorf("demo", api.Corrupt, fmt.Sprintf("%d of %d files came back", n, len(s.files)))
	}
	took := time.Since(begin)
	s.report.Verified, s.report.GetMS = n, ms(took)
	s.out.row("verified", fmt.Sprintf("%s %d of %d files came back byte for byte in %s", s.out.good("yes"), n, len(s.files), took.Round(time.Millisecond)))
	return nil
}

// repair adds a fourth node, which takes the lost one's place.
func (s *story) repair(ctx context.Context) error {
	s.out.chapter("A new node takes its place; the copies are made again")
	begin := time.Now()
	a, err := s.mesh.Enter(ctx, "dora")
	if err != nil {
		return err
	}
	s.out.row(s.out.bold(a.Name), "joined with a fresh invite")
	err = cluster.Wait(ctx, 60*time.Second, "three copies of every block", func() bool {
		h, err := s.mesh.Nodes[0].Client.Holders(ctx, s.report.Link)
		return err == nil && h.Copies >= h.Wanted
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	s.report.RepairMS = ms(took)
	if err := s.showCopies(ctx, s.mesh.Nodes[0]); err != nil {
		return err
	}
	s.out.note("Three copies of every block again, %s after the new node was started.", took.Round(100*time.Millisecond))
	return nil
}

// account shows the ledger and that it adds up.
func (s *story) account(ctx context.Context) error {
	s.out.chapter("Every byte and every unit of work is accounted")
	var rep api.CreditsReport
	err := cluster.Wait(ctx, 30*time.Second, "the escrows to settle", func() (ok bool) {
		var err error
		if rep, err = s.mesh.Nodes[0].Client.Credits(ctx, api.CreditsFilter{Limit: api.MaxPage}); err != nil {
			return false
		}
		return rep.Total == rep.Genesis && held(rep.Balances) == 0
	})
	if err != nil {
		return err
	}
	s.report.Balances, s.report.Total, s.report.Genesis = rep.Balances, rep.Total, rep.Genesis
	sort.SliceStable(rep.Balances, func(i, j int) bool { return rep.Balances[i].Name < rep.Balances[j].Name })
	for _, b := range rep.Balances {
		if b.Account.Kind != api.EscrowAccount {
			name := b.Name
			if b.Account.Kind == api.TreasuryAccount {
				name = "treasury"
			}
			s.out.row(s.out.bold(name), fmt.Sprintf("%16s credits", b.Amount))
		}
	}
	for _, e := range rep.Entries {
		s.report.CauseTotals[e.Cause.String()] += int64(e.Amount)
	}
	s.out.row("sum", fmt.Sprintf("%16s credits %s", rep.Total, s.out.good("= genesis")))
	var moved []string
	for _, c := range []api.Cause{api.CauseStorage, api.CauseSettle, api.CauseServe} {
		moved = append(moved, fmt.Sprintf("%s %s", c, api.Credits(s.report.CauseTotals[c.String()])))
	}
	s.out.note("Moved for %s. inos credits lists every entry with its cause.", strings.Join(moved, ", "))
	if rep.Total != rep.Genesis {
		return api.Errorf("demo", api.Corrupt, "the accounts do not add up")
	}
	return nil
}

func held(balances []api.Balance) (sum api.Credits) {
	for _, b := range balances {
		if b.Account.Kind == api.EscrowAccount {
			sum += b.Amount
		}
	}
	return sum
}

// page prints a one-time link to the first node's page. A node without one is
// no failure of the story.
func (s *story) page(ctx context.Context, why string) {
	if link, err := s.mesh.Nodes[0].Client.SignIn(ctx); err == nil {
		s.out.row("page", s.out.bold(link.URL))
		s.out.note("Open this link, once, to %s.", why)
	}
}

// pause waits before the kill for whoever wants to watch it on the page.
func (s *story) pause(ctx context.Context) error {
	if s.opt.Pause <= 0 {
		return nil
	}
	s.out.note("Waiting %s. Watch the Mesh view of the page.", s.opt.Pause)
	t := time.NewTimer(s.opt.Pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return api.E("demo", api.Canceled, ctx.Err())
	}
}

// farewell says what to try while the nodes stay up.
func (s *story) farewell(ctx context.Context) {
	a := s.mesh.Nodes[0]
	s.out.chapter("The mesh stays up until Ctrl-C. Try it from another terminal")
	for _, c := range []string{"status", "peers", "ls", "credits"} {
		s.out.command("%s --dir %s %s", filepath.Base(s.opt.Exe), a.Dir, c)
	}
	s.page(ctx, "look around; then kill another node and watch the Mesh view")
	s.out.command("kill -9 %d   # %s", s.mesh.Nodes[1].PID(), s.mesh.Nodes[1].Name)
}
