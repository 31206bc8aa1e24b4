// Package servertest holds a Backend in memory, for tests of the server, the
// client and the command line. Production code does not import it.
package servertest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"inos/kernel/api"
)

// Epoch is the fake's fixed clock.
var Epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Fake keeps objects as bytes and folders as lists of files. Its answers are
// fixed, so that tests can compare whole outputs. Set Err to make a method fail.
type Fake struct {
	mu       sync.Mutex
	objects  []stored         // mu; oldest first
	errs     map[string]error // mu; by method name
	jobs     []api.Job        // mu
	reset    bool             // mu; ModuleReset was called
	resident *api.Resident    // guarded by mu; nil before the first start
	stopped  chan struct{}

	Chunk int // bytes between progress reports; 0 means 64 KiB
}

type stored struct {
	obj   api.Object
	files []file
}

type file struct {
	info api.FileInfo
	data []byte
}

// New returns an empty fake.
func New() *Fake {
	return &Fake{errs: map[string]error{}, stopped: make(chan struct{})}
}

// Fail makes a method return err until Fail is called with nil.
func (f *Fake) Fail(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs[method] = err
}

func (f *Fake) fail(method string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errs[method]
}

// Stopped is closed by Shutdown.
func (f *Fake) Stopped() <-chan struct{} { return f.stopped }

// Node is the fake's i-th node.
func Node(i byte) api.NodeID { return api.NodeID{0: i, 31: 7} }

var names = []string{"alder", "birch", "cedar"}

// Status implements server.Backend.
func (f *Fake) Status(context.Context) (api.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return api.Status{
		Version: "0.1.0", Node: Node(0), Name: names[0], Mesh: Node(9), Roles: api.Seed | api.Hub, Ready: true,
		Started: Epoch.UnixMilli(), UptimeSeconds: 93784, Addrs: []string{"/ip4/127.0.0.1/udp/4280/quic-v1"},
		PeersOnline: 1, PeersKnown: 2, Store: api.StoreUsage{Blocks: 12, Bytes: 3 << 20, Free: 80 << 30},
		Objects: uint64(len(f.objects)), Balance: 1000 * api.Credit, RSS: 41 << 20, Goroutines: 60, Dir: "/data/inos", Engine: "wazero",
	}, f.errs["Status"]
}

// TabSources implements server.Reacher.
func (f *Fake) TabSources() []string { return []string{"ws://192.0.2.1:4410"} }

// Tabs implements server.Backend.
func (f *Fake) Tabs(context.Context) (api.TabAccess, error) {
	return api.TabAccess{Nodes: []api.TabNode{{Node: Node(0), Name: names[0], Addrs: []string{"/ip4/192.0.2.1/tcp/4410/ws"}}}}, nil
}

// Peers implements server.Backend.
func (f *Fake) Peers(context.Context) ([]api.Peer, error) {
	var out []api.Peer
	for i, name := range names {
		out = append(out, api.Peer{
			Capability: api.Capability{
				Node: Node(byte(i)), Roles: api.Hub, Name: name, Domain: "rack-" + strconv.Itoa(i),
				Addrs: []string{}, Free: 80 << 30, Used: uint64(i) << 30, Cores: 4, Workers: 4,
			},
			Self: i == 0, Online: i < 2, LatencyMS: float64(i) * 0.4, LastSeen: Epoch.UnixMilli(),
		})
	}
	out[0].Roles |= api.Seed
	return out, f.fail("Peers")
}

// Put implements server.Backend.
func (f *Fake) Put(ctx context.Context, req api.PutRequest, body io.Reader, progress func(api.Progress)) (api.Object, error) {
	if err := f.fail("Put"); err != nil {
		return api.Object{}, err
	}
	chunk := f.Chunk
	if chunk == 0 {
		chunk = 64 << 10
	}
	p := api.Progress{TotalBytes: req.Size, TotalFiles: req.Files}
	var data bytes.Buffer
	for {
		n, err := io.CopyN(&data, body, int64(chunk))
		p.Bytes += uint64(n)
		p.Blocks++
		p.Acked++
		progress(p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return api.Object{}, api.E("fake.put", api.Canceled, err)
		}
		if ctx.Err() != nil {
			return api.Object{}, ctx.Err()
		}
		if err := f.fail("PutMiddle"); err != nil {
			return api.Object{}, err
		}
	}
	files, err := filesOf(req, data.Bytes())
	if err != nil {
		return api.Object{}, api.E("fake.put", api.Invalid, err)
	}
	return f.add(req, files), nil
}

func filesOf(req api.PutRequest, data []byte) ([]file, error) {
	if !req.Folder {
		return []file{{info: api.FileInfo{Name: req.Name, Size: uint64(len(data)), Mode: 0o644, MediaType: mediaType(req.Name)}, data: data}}, nil
	}
	var files []file
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		fi := api.FileInfo{
			Path: strings.TrimSuffix(h.Name, "/"), Name: path.Base(h.Name), Size: uint64(len(content)),
			Mode: uint32(h.Mode), ModTime: h.ModTime.UnixMilli(), Target: h.Linkname,
		}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeDir:
			fi.Kind = api.FolderFile
		case tar.TypeSymlink:
			fi.Kind = api.SymlinkFile
		default:
			return nil, errors.New("unexpected tar entry " + h.Name)
		}
		files = append(files, file{fi, content})
	}
}

func (f *Fake) add(req api.PutRequest, files []file) api.Object {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := uint32(len(f.objects) + 1)
	obj := api.Object{
		Name: req.Name, Folder: req.Folder, Copies: req.Policy.Copies, Acks: 2, Created: Epoch.UnixMilli(),
		Until: req.Policy.Until, MimeType: "application/octet-stream",
	}
	if obj.Copies == 0 {
		obj.Copies = api.DefaultCopies
	}
	binary.BigEndian.PutUint32(obj.Link.Root[:], n)
	if !req.Policy.Public {
		binary.BigEndian.PutUint32(obj.Link.Key[:], n)
	}
	for _, fl := range files {
		if fl.info.Kind == api.RegularFile {
			obj.Files++
			obj.Bytes += fl.info.Size
		}
	}
	obj.Wire, obj.Blocks = obj.Bytes/2, obj.Bytes>>20+1
	f.objects = append(f.objects, stored{obj, files})
	return obj
}

// output adds the output of a job.
func (f *Fake) output(method string, req api.PutRequest, files []file) api.Object {
	obj := f.add(req, files)
	f.mu.Lock()
	defer f.mu.Unlock()
	obj.Method = method
	f.objects[len(f.objects)-1].obj = obj
	return obj
}

func (f *Fake) find(link api.Link) (stored, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.objects {
		if o.obj.Link.Root != link.Root {
			continue
		}
		if o.obj.Link.Key != link.Key {
			return o, api.Errorf("fake.find", api.Unverified, "the key does not open this object")
		}
		return o, nil
	}
	return stored{}, api.Errorf("fake.find", api.NotFound, "no node in the mesh has this object")
}

// Get implements server.Backend.
func (f *Fake) Get(_ context.Context, req api.GetRequest, begin func(api.FileInfo) (io.Writer, error)) error {
	if err := f.fail("Get"); err != nil {
		return err
	}
	o, err := f.find(req.Link)
	if err != nil {
		return err
	}
	if req.Tar {
		w, err := begin(api.FileInfo{Path: req.Path, Name: o.obj.Name, Kind: api.FolderFile, Size: o.obj.Bytes, Files: o.obj.Files})
		if err != nil {
			return err
		}
		return writeTar(w, o.files, req.Path)
	}
	for _, fl := range o.files {
		if fl.info.Path == req.Path && fl.info.Kind == api.RegularFile {
			return f.send(fl, req, begin)
		}
	}
	if o.obj.Folder && req.Path == "" {
		return api.Errorf("fake.get", api.Invalid, "this is a folder; ask for it as a tar stream")
	}
	return api.Errorf("fake.get", api.NotFound, "the object has no file "+req.Path)
}

func (f *Fake) send(fl file, req api.GetRequest, begin func(api.FileInfo) (io.Writer, error)) error {
	w, err := begin(fl.info)
	if err != nil {
		return err
	}
	data := fl.data[min(req.Offset, uint64(len(fl.data))):]
	if req.Length > 0 {
		data = data[:min(req.Length, uint64(len(data)))]
	}
	if err := f.fail("GetMiddle"); err != nil {
		_, _ = w.Write(data[:len(data)/2])
		return err
	}
	_, err = w.Write(data)
	return err
}

func writeTar(w io.Writer, files []file, under string) error {
	t := tar.NewWriter(w)
	for _, fl := range files {
		name := fl.info.Path
		if name == "" {
			name = fl.info.Name
		}
		if under != "" {
			rest, ok := strings.CutPrefix(name, under+"/")
			if !ok {
				continue
			}
			name = rest
		}
		h := &tar.Header{Name: name, Mode: int64(fl.info.Mode), Size: int64(fl.info.Size), ModTime: time.UnixMilli(fl.info.ModTime), Typeflag: tar.TypeReg}
		switch fl.info.Kind {
		case api.FolderFile:
			h.Typeflag, h.Name, h.Size = tar.TypeDir, name+"/", 0
		case api.SymlinkFile:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, fl.info.Target, 0
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(fl.data); err != nil {
			return err
		}
	}
	return t.Close()
}

// Stat implements server.Backend.
func (f *Fake) Stat(_ context.Context, req api.StatRequest) (api.Stat, error) {
	o, err := f.find(req.Link)
	if err != nil {
		return api.Stat{}, err
	}
	st := api.Stat{Link: req.Link}
	if !o.obj.Folder {
		st.Info = o.files[0].info
		return st, nil
	}
	found := req.Path == ""
	st.Info = api.FileInfo{Name: o.obj.Name, Kind: api.FolderFile, Size: o.obj.Bytes, Files: o.obj.Files}
	for _, fl := range o.files {
		if req.Path != "" && fl.info.Path == req.Path {
			st.Info, found = fl.info, true
		}
		if dir := path.Dir(fl.info.Path); dir == req.Path || dir == "." && req.Path == "" {
			st.Entries = append(st.Entries, fl.info)
			found = true
		}
	}
	if !found {
		return st, api.Errorf("fake.stat", api.NotFound, "the object has no file "+req.Path)
	}
	if req.Path != "" && len(st.Entries) > 0 {
		st.Info = api.FileInfo{Path: req.Path, Name: path.Base(req.Path), Kind: api.FolderFile}
	}
	return st, nil
}

// List implements server.Backend.
func (f *Fake) List(_ context.Context, page api.ListRequest) (api.ObjectPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, _ := strconv.Atoi(page.After)
	var out api.ObjectPage
	for i, o := range slices.Backward(f.objects[:len(f.objects)-min(from, len(f.objects))]) {
		if page.Find != "" && page.Find != o.obj.Name && page.Find != o.obj.Link.Root.String() {
			continue
		}
		switch output := o.obj.Method != ""; {
		case output && page.Outputs == api.WithoutOutputs:
			out.Hidden++
			continue
		case !output && page.Outputs == api.OnlyOutputs:
			continue
		}
		if len(out.Objects) == page.Limit {
			out.Next = strconv.Itoa(len(f.objects) - i - 1)
			break
		}
		out.Objects = append(out.Objects, o.obj)
	}
	return out, f.errs["List"]
}

// Remove implements server.Backend.
func (f *Fake) Remove(_ context.Context, link api.Link) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range f.objects {
		if o.obj.Link.Root == link.Root {
			f.objects = slices.Delete(f.objects, i, i+1)
			return nil
		}
	}
	return api.Errorf("fake.remove", api.NotFound, "this node owns no such object")
}

// Holders implements server.Backend.
func (f *Fake) Holders(_ context.Context, link api.Link) (api.Holders, error) {
	o, err := f.find(link)
	if err != nil {
		return api.Holders{}, err
	}
	h := api.Holders{Link: link, Blocks: o.obj.Blocks, Bytes: o.obj.Wire, Wanted: o.obj.Copies, Copies: 2, UnderReplicated: o.obj.Blocks}
	for i, name := range names[:2] {
		h.Holders = append(h.Holders, api.Holder{Node: Node(byte(i)), Name: name, Online: true, Self: i == 0, Blocks: o.obj.Blocks, Bytes: o.obj.Wire})
	}
	return h, nil
}

// Run implements server.Backend: every input becomes a done job, except that
// method "fail" fails and "block" waits for ctx.
func (f *Fake) Run(ctx context.Context, req api.RunRequest, each func(api.Job) error) error {
	if err := f.fail("Run"); err != nil {
		return err
	}
	inputs := req.Inputs
	if len(inputs) == 0 {
		inputs = []api.RunInput{{}}
	}
	for i, in := range inputs {
		j := api.Job{
			Spec: api.JobSpec{
				ID: api.ID{15: byte(i + 1)}, Batch: api.ID{0: 1}, Payer: Node(0), Unit: req.Unit, Method: req.Method,
				Params: req.Params, Input: in.Link, InputPath: in.Path, Limits: req.Limits.WithDefaults(), Submitted: Epoch.UnixMilli(),
			},
			Name: path.Base(in.Path), Method: req.Module + "/" + req.Unit + "." + req.Method, State: api.JobRunning,
		}
		if in.Path == "" {
			j.Name = "input-" + strconv.Itoa(i+1)
		}
		if err := each(j); err != nil {
			return err
		}
		if req.Method == "block" {
			<-ctx.Done()
			return ctx.Err()
		}
		if err := f.finish(&j, i, in); err != nil {
			return err
		}
		if err := each(j); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fake) finish(j *api.Job, i int, in api.RunInput) error {
	j.Attempts, j.Finished = 1, Epoch.UnixMilli()+12
	j.Result = api.JobResult{ID: j.Spec.ID, Worker: Node(byte(i % 3)), Gas: 1_500_000, RunUS: 11_200}
	if j.Spec.Method == "fail" {
		j.State, j.Error = api.JobFailed, api.Trapped.String()
		j.Result.Message = "the module trapped: unreachable"
	} else {
		j.State, j.Price = api.JobDone, 1500
		if !in.Link.IsZero() {
			out := f.output(j.Method, api.PutRequest{Name: j.Name}, []file{{info: api.FileInfo{Name: j.Name, Size: 6, Mode: 0o644}, data: []byte("result")}})
			j.Result.Output, j.Result.OutputSize = out.Link, 6
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs = append(f.jobs, *j)
	return nil
}

// Quote implements server.Backend.
func (f *Fake) Quote(_ context.Context, req api.RunRequest) (api.Quote, error) {
	n := max(len(req.Inputs), 1)
	return api.Quote{
		Jobs: n, Gas: uint64(n) * 1_500_000, Seen: 3, Price: api.Credits(n) * 1500, Ceiling: api.Credits(n) * 20_000,
		Balance: 1000 * api.Credit, Affords: true,
		Offers: []api.NodeQuote{{Node: Node(1), Name: names[1], Price: api.Credits(n) * 1500}},
	}, f.fail("Quote")
}

// Jobs implements server.Backend.
func (f *Fake) Jobs(_ context.Context, filter api.JobFilter) (api.JobPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out api.JobPage
	for _, j := range slices.Backward(f.jobs) {
		if (filter.State == "" || filter.State == j.State.String()) && (!filter.Active || !j.State.Final()) && len(out.Jobs) < filter.Limit {
			out.Jobs = append(out.Jobs, j)
		}
	}
	return out, nil
}

// Job implements server.Backend.
func (f *Fake) Job(_ context.Context, id api.ID) (api.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs {
		if j.Spec.ID == id {
			return j, nil
		}
	}
	return api.Job{}, api.Errorf("fake.job", api.NotFound, "this node pays for no such job")
}

// JobCancel implements server.Backend.
func (f *Fake) JobCancel(ctx context.Context, id api.ID) error {
	_, err := f.Job(ctx, id)
	return err
}

// Modules implements server.Backend.
func (f *Fake) Modules(context.Context) ([]api.ModuleInfo, error) {
	return []api.ModuleInfo{compute()}, nil
}

func compute() api.ModuleInfo {
	return api.ModuleInfo{
		Name: "compute", Version: "1.0.0", Hash: api.Hash{0: 0xab, 1: 0xcd}, Size: 812_345, Author: Node(9), Verified: true,
		BuiltIn: true, Deterministic: true, Description: "Hashes and pictures.", Limits: api.Limits{}.WithDefaults(),
		Units: []api.ModuleUnit{{
			Name: "hash", Description: "Digests.",
			Methods: []api.ModuleMethod{{
				Name: "blake3", Description: "BLAKE3-256 of the input.", Params: json.RawMessage(`{"type":"object"}`),
				Accepts: []string{"*/*"}, Returns: []string{"text/plain"},
			}},
		}},
	}
}

// Module implements server.Backend.
func (f *Fake) Module(_ context.Context, ref string) (api.ModuleInfo, error) {
	m := compute()
	if ref == m.Name || ref == m.Hash.String() {
		return m, nil
	}
	return api.ModuleInfo{}, api.Errorf("fake.module", api.NotFound, "this node has no module "+ref)
}

// ModuleReport implements server.Backend. The module is in quarantine until it
// is reset.
func (f *Fake) ModuleReport(ctx context.Context, ref string) (api.ModuleReport, error) {
	m, err := f.Module(ctx, ref)
	if err != nil {
		return api.ModuleReport{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := api.ModuleReport{Module: m, State: "starting", Since: Epoch.UnixMilli(), Calls: 1203, Gas: 4_500_000_000, Heartbeat: Epoch.UnixMilli()}
	if !f.reset {
		r.State, r.Reason, r.Crashed = "quarantined", "the module trapped: unreachable", Epoch.UnixMilli()
		r.Restarts, r.Crashes, r.Running, r.Turned = 8, 5, 1, 17
		r.KeptOut = []api.KeptOut{{Payer: Node(1), Name: names[1], Until: Epoch.UnixMilli() + 100*60_000}}
		r.Denied = map[string]uint64{"sendMessage": 3}
	}
	return r, nil
}

// ModuleReset implements server.Backend.
func (f *Fake) ModuleReset(ctx context.Context, ref string) (api.ModuleReport, error) {
	f.mu.Lock()
	f.reset = true
	f.mu.Unlock()
	return f.ModuleReport(ctx, ref)
}

// ModuleStart implements server.Backend.
func (f *Fake) ModuleStart(_ context.Context, ref string, req api.ResidentStart) (api.Resident, error) {
	if ref != "boids" {
		return api.Resident{}, api.Errorf("fake.modulestart", api.NotFound, "this node has no module "+ref)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resident = &api.Resident{
		Name: ref, Version: "1.0.0", State: "running", Workers: max(req.Workers, 1), Started: Epoch.UnixMilli(), Steps: 120,
		Gas: 4_500_000_000, Region: 0x800000, States: []string{"boids"},
	}
	return *f.resident, nil
}

// ModuleStop implements server.Backend.
func (f *Fake) ModuleStop(_ context.Context, ref string) (api.Resident, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resident == nil || f.resident.Name != ref {
		return api.Resident{}, api.Errorf("fake.modulestop", api.NotFound, ref+" does not run here")
	}
	f.resident.State = "stopped"
	return *f.resident, nil
}

// Residents implements server.Backend.
func (f *Fake) Residents(context.Context) ([]api.Resident, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.resident == nil {
		return nil, nil
	}
	return []api.Resident{*f.resident}, nil
}

// ModuleAdd implements server.Backend.
func (f *Fake) ModuleAdd(_ context.Context, wasm io.Reader) (api.ModuleInfo, error) {
	raw, err := io.ReadAll(wasm)
	if err != nil {
		return api.ModuleInfo{}, err
	}
	if !bytes.HasPrefix(raw, []byte("\x00asm")) {
		return api.ModuleInfo{}, api.Errorf("fake.moduleadd", api.Invalid, "this is not a WebAssembly file")
	}
	m := compute()
	m.BuiltIn, m.Size = false, uint64(len(raw))
	return m, nil
}

// ModuleRemove implements server.Backend.
func (f *Fake) ModuleRemove(ctx context.Context, ref string, _ [64]byte) error {
	_, err := f.Module(ctx, ref)
	return err
}

// Invite implements server.Backend.
func (f *Fake) Invite(_ context.Context, req api.InviteRequest) (api.Invite, error) {
	if err := f.fail("Invite"); err != nil {
		return api.Invite{}, err
	}
	if req.Roles == 0 {
		req.Roles = api.Hub
	}
	return api.Invite{Text: "inos-invite:abc", Roles: req.Roles, Name: req.Name, Expires: Epoch.Unix() + req.TTL}, nil
}

// Revoke implements server.Backend.
func (f *Fake) Revoke(_ context.Context, node string) error {
	if !slices.Contains(names, node) {
		return api.Errorf("fake.revoke", api.NotFound, "the mesh has no member "+node)
	}
	return nil
}

// Credits implements server.Backend.
func (f *Fake) Credits(_ context.Context, filter api.CreditsFilter) (api.CreditsReport, error) {
	r := api.CreditsReport{Node: Node(0), Balance: 1000 * api.Credit, Total: 1_000_000 * api.Credit, Genesis: 1_000_000 * api.Credit}
	r.Balances = []api.Balance{
		{Account: api.Account{}, Amount: 999_000 * api.Credit},
		{Account: api.Account{Kind: api.NodeAccount, Node: Node(0)}, Name: names[0], Amount: 1000 * api.Credit},
	}
	r.Entries = []api.Entry{{
		Seq: 2, Time: Epoch.UnixMilli(), To: api.Account{Kind: api.NodeAccount, Node: Node(0)},
		Amount: 1000 * api.Credit, Cause: api.CauseGrant,
	}}
	if filter.Cause != "" && filter.Cause != "grant" {
		r.Entries = nil
	}
	return r, nil
}

// Transfer implements server.Backend.
func (f *Fake) Transfer(_ context.Context, req api.TransferRequest) (api.Entry, error) {
	if req.Amount > 1000*api.Credit {
		return api.Entry{}, api.Errorf("fake.transfer", api.Unfunded, "the account holds 1000 credits")
	}
	return api.Entry{
		Seq: 3, Time: Epoch.UnixMilli(), From: api.Account{Kind: api.NodeAccount, Node: Node(0)},
		To: api.Account{Kind: api.NodeAccount, Node: Node(1)}, Amount: req.Amount, Cause: api.CauseTransfer, Ref: req.Memo,
	}, nil
}

// Doctor implements server.Backend.
func (f *Fake) Doctor(context.Context) ([]api.Check, error) {
	checks := []api.Check{
		{Name: "store", Detail: "12 blocks, 80 GiB free"},
		{Name: "copies", State: api.CheckWarn, Detail: "1 object has fewer copies than wanted", Fix: "start another node, or lower --copies"},
	}
	if f.fail("Doctor") != nil {
		checks = append(checks, api.Check{Name: "clock", State: api.CheckFail, Detail: "4 minutes ahead of the mesh", Fix: "turn on NTP"})
	}
	return checks, nil
}

// Events implements server.Backend: two events, then silence.
func (f *Fake) Events(ctx context.Context, since uint64, fn func(api.Event) error) error {
	for i := since + 1; i <= 2; i++ {
		e := api.Event{SpecVersion: api.EventVersion, ID: strconv.FormatUint(i, 10), Source: Node(0).String(), Type: "job:run:v1:done", Time: Epoch}
		if err := fn(e); err != nil {
			return err
		}
	}
	if err := f.fail("Events"); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// Metrics implements server.Backend.
func (f *Fake) Metrics(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, "# TYPE inos_objects gauge\ninos_objects 1\n")
	return err
}

// Shutdown implements server.Backend.
func (f *Fake) Shutdown(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.stopped:
	default:
		close(f.stopped)
	}
	return nil
}

// mediaType knows the one type that tests of previews need.
func mediaType(name string) string {
	if path.Ext(name) == ".png" {
		return "image/png"
	}
	return ""
}
