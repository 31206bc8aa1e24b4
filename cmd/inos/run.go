package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"inos/client"
	"inos/kernel/api"
)

type runFlags struct {
	params   []string
	json     string
	node     string
	cap      string
	timeout  string
	deadline string
	priority string
	memory   string
	gas      string
	output   string
	out      string
	quote    bool
	force    bool
}

func (a *app) runCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run MODULE/UNIT.METHOD [LINK[/PATH]...]", Short: "Call a module's method on each input", Args: cobra.MinimumNArgs(1),
		Long: `Call a method once per input, near the data. An input is a link, or the name of an object that
inos ls shows; a folder means every file in it, and without inputs the method is called once.
A row is printed when a job is final. Outputs are objects of this node: inos ls --outputs lists
them, and --out also downloads them. inos module ls shows the methods.

A --param value is a number, true, false, null or JSON when it reads as one, else text:
--param width=256 --param name=x --param list=[1,2]. --params gives the whole JSON object.`,
		Example: "  inos run compute/image.thumbnail --param width=256 LINK --out thumbs\n  inos run compute/hash.blake3 LINK/photo.jpg --node cedar",
		RunE: a.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			req, err := a.runRequest(cmd.Context(), c, f, args)
			if err != nil {
				return err
			}
			if f.quote {
				return a.quote(cmd.Context(), c, req)
			}
			if err := checkOut(f.out, f.force); err != nil {
				return err
			}
			return a.runJobs(cmd.Context(), c, req, f)
		}),
	}
	fl := cmd.Flags()
	fl.StringArrayVarP(&f.params, "param", "p", nil, "a parameter, name=value; may be repeated")
	fl.StringVar(&f.json, "params", "", "all parameters as a JSON object")
	fl.StringVar(&f.node, "node", "", "run only on this node, by name or id")
	usual := api.Limits{}.WithDefaults()
	fl.StringVar(&f.cap, "price-cap", "", "most credits to pay per job (default ten times the usual price of its gas limit)")
	fl.StringVar(&f.timeout, "timeout", "", "wall time of one job, at most 24h (default "+durationText(time.Duration(usual.WallMS)*time.Millisecond)+")")
	fl.StringVar(&f.deadline, "deadline", "", "give up what is not done after this time, such as 10m, or at 2026-12-31T18:00:00Z")
	fl.StringVar(&f.priority, "priority", "", "low, normal or high: high goes first and costs twice as much (default normal)")
	fl.StringVar(&f.memory, "memory", "", "memory of one job, such as 512MiB (default "+bytesText(usual.MemoryBytes)+")")
	fl.StringVar(&f.output, "max-output", "", "size of one job's output, at most 256MiB (default "+bytesText(usual.OutputBytes)+")")
	fl.StringVar(&f.gas, "gas", "", "gas of one job, such as 5G or 500M (default "+strings.ReplaceAll(gasText(usual.Gas), " ", "")+")")
	fl.StringVarP(&f.out, "out", "o", "", "download the outputs into this folder, new or empty; inputs keep their folders")
	fl.BoolVar(&f.force, "force", false, "let --out write into a folder that is not empty, over what is there")
	fl.BoolVar(&f.quote, "quote", false, "show the price and run nothing")
	return cmd
}

// runRequest reads the command line into a request.
func (a *app) runRequest(ctx context.Context, c *client.Client, f runFlags, args []string) (req api.RunRequest, err error) {
	if req.Module, req.Unit, req.Method, err = parseMethod(args[0]); err != nil {
		return req, err
	}
	if req.Params, err = parseParams(f.json, f.params); err != nil {
		return req, err
	}
	for _, arg := range args[1:] {
		link, inside, err := resolve(ctx, c, arg)
		if err != nil {
			return req, err
		}
		req.Inputs = append(req.Inputs, api.RunInput{Link: link, Path: inside})
	}
	req.Node = f.node
	if f.cap != "" {
		if req.PriceCap, err = api.ParseCredits(f.cap); err != nil {
			return req, err
		}
		if req.PriceCap <= 0 {
			return req, api.Errorf("cli.run", api.Invalid, "--price-cap is a positive number of credits")
		}
	}
	if err := req.Priority.UnmarshalText([]byte(f.priority)); err != nil {
		return req, err
	}
	if f.deadline != "" {
		if req.Deadline, err = a.deadline(f.deadline); err != nil {
			return req, err
		}
	}
	req.Limits, err = f.limits()
	return req, err
}

// limits reads the bounds of one job; what is not given stays zero, the default.
func (f runFlags) limits() (l api.Limits, err error) {
	if f.gas != "" {
		if l.Gas, err = parseGas(f.gas); err != nil {
			return l, err
		}
	}
	if f.memory != "" {
		if l.MemoryBytes, err = parseBytes(f.memory); err != nil {
			return l, err
		}
	}
	if f.output != "" {
		if l.OutputBytes, err = parseBytes(f.output); err != nil {
			return l, err
		}
	}
	if f.timeout != "" {
		d, err := parseDuration(f.timeout)
		if err != nil {
			return l, err
		}
		if d > 24*time.Hour {
			return l, api.Errorf("cli.run", api.Invalid, "--timeout is at most 24h")
		}
		l.WallMS = uint32(max(d.Milliseconds(), 1))
	}
	return l, nil
}

// deadline reads a span from now or a moment, in Unix milliseconds.
func (a *app) deadline(s string) (int64, error) {
	const op = "cli.run"
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		if !at.After(a.now()) {
			return 0, api.Errorf(op, api.Invalid, "--deadline: "+s+" has passed")
		}
		return at.UnixMilli(), nil
	}
	d, err := parseDuration(s)
	if err != nil {
		return 0, api.Errorf(op, api.Invalid, "--deadline is a span such as 10m, or a moment such as 2026-12-31T18:00:00Z")
	}
	return a.now().Add(d).UnixMilli(), nil
}

// parseMethod splits MODULE/UNIT.METHOD.
func parseMethod(s string) (module, unit, method string, err error) {
	module, rest, _ := strings.Cut(s, "/")
	unit, method, _ = strings.Cut(rest, ".")
	if module == "" || unit == "" || method == "" {
		return "", "", "", api.Errorf("cli.run", api.Invalid, "a method is MODULE/UNIT.METHOD, such as compute/hash.blake3; `inos module inspect` lists them")
	}
	return module, unit, method, nil
}

// parseParams builds the JSON object of parameters, nil when there are none.
func parseParams(whole string, each []string) (json.RawMessage, error) {
	const op = "cli.params"
	params := map[string]json.RawMessage{}
	if whole != "" {
		if err := json.Unmarshal([]byte(whole), &params); err != nil || params == nil {
			return nil, api.Errorf(op, api.Invalid, `--params is a JSON object, such as '{"width": 256}'`)
		}
	}
	for _, p := range each {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, api.Errorf(op, api.Invalid, "--param is name=value, such as width=256")
		}
		params[name] = paramValue(value)
	}
	if len(params) == 0 {
		return nil, nil
	}
	return json.Marshal(params) // sorts the names
}

// paramValue is the JSON that v reads as, else v as text.
func paramValue(v string) json.RawMessage {
	if json.Valid([]byte(v)) {
		return json.RawMessage(v)
	}
	raw, err := json.Marshal(strings.ToValidUTF8(v, "\uFFFD"))
	if err != nil {
		panic("cmd: a string does not marshal") // encoding/json marshals every string
	}
	return raw
}

func (a *app) quote(ctx context.Context, c *client.Client, req api.RunRequest) error {
	q, err := c.Quote(ctx, req)
	if err != nil {
		return err
	}
	return a.show(q, func() {
		a.fields(
			"jobs", strconv.Itoa(q.Jobs), "input", bytesText(q.Bytes), "gas", "about "+gasText(q.Gas)+", "+basisText(q.Seen),
			"price", "about "+q.Price.String()+" credits", "at most", q.Ceiling.String()+" credits", "balance", q.Balance.String()+" credits",
		)
		t := table{head: []string{"NODE", "PRICE", "QUEUE"}, right: map[int]bool{1: true, 2: true}}
		for _, o := range q.Offers {
			t.rows = append(t.rows, []string{printable(o.Name), o.Price.String(), strconv.Itoa(o.Queue)})
		}
		_, _ = fmt.Fprintln(a.stdout)
		a.print(t)
	})
}

// basisText says what an estimate is told from.
func basisText(seen int) string {
	switch seen {
	case 0:
		return "a guess by the size: this node has not run it"
	case 1:
		return "from 1 earlier job"
	}
	return "from " + strconv.Itoa(seen) + " earlier jobs"
}

// runJobs starts the jobs and prints a row for each that ends.
func (a *app) runJobs(ctx context.Context, c *client.Client, req api.RunRequest, f runFlags) error {
	var tally runTally
	var outputs []api.Job
	view := &jobRows{app: a}
	if !a.json {
		view.names = names(ctx, c)
	}
	err := c.Run(ctx, req, func(j api.Job) error {
		if a.json {
			if err := a.line(j); err != nil {
				return err
			}
		}
		if !j.State.Final() {
			return nil
		}
		tally.add(j)
		if f.out != "" && !j.Result.Output.IsZero() {
			outputs = append(outputs, j)
		}
		if a.json {
			return nil
		}
		return view.row(j)
	})
	if err != nil {
		return err
	}
	if tally.total > 1 {
		a.note("%s, %d failed, %s gas, %s credits", count(uint64(tally.total), "job"), tally.failed, gasText(tally.gas), tally.price)
	}
	if err := a.download(ctx, c, f.out, f.force, outputs); err != nil {
		return err
	}
	return tally.err()
}

// runTally sums a run up.
type runTally struct {
	total, failed int
	gas           uint64
	price         api.Credits
	first         api.Job // that failed
}

func (t *runTally) add(j api.Job) {
	t.total++
	t.gas += j.Result.Gas
	t.price += j.Price
	if j.State != api.JobDone {
		if t.failed == 0 {
			t.first = j
		}
		t.failed++
	}
}

// err is the first failure, with the kind the job had.
func (t *runTally) err() error {
	if t.failed == 0 {
		return nil
	}
	kind := api.KindNamed(t.first.Error)
	if t.first.State == api.JobStopped && kind == api.Other {
		kind = api.Canceled
	}
	msg := t.first.Result.Message
	if msg == "" {
		msg = kind.String()
	}
	if t.total > 1 {
		msg = fmt.Sprintf("%d of %d jobs failed, the first with: %s", t.failed, t.total, msg)
	}
	return api.Errorf("cli.run", kind, msg)
}

// jobRows prints rows as they come, so its columns have fixed widths.
type jobRows struct {
	*app
	names  map[api.NodeID]string
	headed bool
}

const jobRowFormat = "%s  %s  %s  %8s  %8s  %9s  %s\n"

func (v *jobRows) row(j api.Job) error {
	if !v.headed {
		v.headed = true
		head := fmt.Sprintf(jobRowFormat, fit("INPUT", 24), fit("NODE", 12), fit("STATE", 7), "TIME", "GAS", "PRICE", "OUTPUT")
		if _, err := io.WriteString(v.stdout, v.paint(v.outTTY, dim, strings.TrimSuffix(head, "\n"))+"\n"); err != nil {
			return outputError(err)
		}
	}
	state := fit(j.State.String(), 7)
	if j.State != api.JobDone {
		state = v.paint(v.outTTY, red, state)
	}
	_, err := fmt.Fprintf(v.stdout, jobRowFormat, fit(dash(j.Name), 24), fit(nodeName(v.names, j.Result.Worker), 12), state,
		durationText(time.Duration(j.Result.RunUS)*time.Microsecond), gasText(j.Result.Gas), j.Price, jobOutcome(j))
	return outputError(err)
}

// jobOutcome is the output's link, or why there is none.
func jobOutcome(j api.Job) string {
	switch {
	case j.State == api.JobDone && j.Result.Output.IsZero():
		return "-"
	case j.State == api.JobDone:
		return j.Result.Output.String()
	case j.Result.Message != "":
		return printable(j.Result.Message)
	}
	return dash(j.Error)
}

// fit pads or cuts s to n characters.
func fit(s string, n int) string {
	if w := utf8.RuneCountInString(s); w <= n {
		return s + strings.Repeat(" ", n-w)
	}
	return string([]rune(s)[:n-1]) + "…"
}

// checkOut refuses, before anything is paid for, a folder that outputs could
// collide in.
func checkOut(dir string, force bool) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ENOTDIR):
		return api.Errorf("cli.run", api.Exists, "--out: "+printable(dir)+" is not a folder")
	case err != nil:
		return writeFileError(err)
	case len(entries) > 0 && !force:
		return api.Errorf("cli.run", api.Exists, "--out: "+printable(dir)+" is not empty; choose another folder or add --force")
	}
	return nil
}

// download fetches outputs into dir under their inputs' names.
func (a *app) download(ctx context.Context, c *client.Client, dir string, force bool, jobs []api.Job) error {
	if len(jobs) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return writeFileError(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return writeFileError(err)
	}
	defer func() { _ = root.Close() }()
	names := outputNames{}
	for _, j := range jobs {
		name := names.next(j)
		// The root follows no symbolic link out of dir.
		if err := root.MkdirAll(path.Dir(name), 0o777); err != nil {
			return writeFileError(err)
		}
		g := &getter{app: a, c: c, link: j.Result.Output, force: force}
		info := api.FileInfo{Name: name, Size: j.Result.OutputSize}
		if err := g.toFile(ctx, info, filepath.Join(dir, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	a.note("%s in %s", count(uint64(len(jobs)), "output"), dir)
	return nil
}

// preferred extensions where a media type has several.
var preferred = map[string]string{
	"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "text/plain": ".txt", "application/json": ".json",
}

// outputNames are the paths that outputs took: true for a file, false for a
// folder on the way to one.
type outputNames map[string]bool

// next is the input's path with the extension of the output's type, numbered
// when another output is in the way.
func (n outputNames) next(j api.Job) string {
	name, ok := localName(j.Name)
	if !ok || printable(name) != name {
		name = j.Spec.ID.Short()
	}
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	media, _, _ := mime.ParseMediaType(j.Result.MediaType)
	if want := preferred[media]; want != "" && mime.TypeByExtension(ext) != media {
		if media == "text/plain" {
			stem = name // photo.jpg.txt says what it is about
		}
		ext = want
	}
	out := stem + ext
	for i := 2; !n.free(out); i++ {
		out = stem + "-" + strconv.Itoa(i) + ext
		if i > len(n)+2 { // a folder of its path is a file
			stem = path.Base(stem)
		}
	}
	n[out] = true
	for dir := path.Dir(out); dir != "."; dir = path.Dir(dir) {
		n[dir] = false
	}
	return out
}

// free says whether a file can be at name.
func (n outputNames) free(name string) bool {
	if _, ok := n[name]; ok {
		return false
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if n[dir] {
			return false
		}
	}
	return true
}
