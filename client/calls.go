package client

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"inos/kernel/api"
)

// Status asks how the node is.
func (c *Client) Status(ctx context.Context) (v api.Status, err error) {
	err = c.call(ctx, request{op: "client.status", method: "GET", path: "/v1/status"}, nil, &v)
	return v, err
}

// Arena asks for the map of the node's shared memory.
func (c *Client) Arena(ctx context.Context) (v api.ArenaMap, err error) {
	err = c.call(ctx, request{op: "client.arena", method: "GET", path: "/v1/arena"}, nil, &v)
	return v, err
}

// Peers lists the mesh's members.
func (c *Client) Peers(ctx context.Context) (v []api.Peer, err error) {
	err = c.call(ctx, request{op: "client.peers", method: "GET", path: "/v1/peers"}, nil, &v)
	return v, err
}

// Tabs opens the node to browser tabs and says how they reach the mesh.
func (c *Client) Tabs(ctx context.Context) (v api.TabAccess, err error) {
	err = c.call(ctx, request{op: "client.tabs", method: "POST", path: "/v1/tabs"}, nil, &v)
	return v, err
}

// Settings lists the settings in force on the node and where each came from.
func (c *Client) Settings(ctx context.Context) (v []api.Setting, err error) {
	err = c.call(ctx, request{op: "client.settings", method: "GET", path: "/v1/settings"}, nil, &v)
	return v, err
}

// Doctor runs the node's checks.
func (c *Client) Doctor(ctx context.Context) (v []api.Check, err error) {
	err = c.call(ctx, request{op: "client.doctor", method: "GET", path: "/v1/doctor"}, nil, &v)
	return v, err
}

// Shutdown asks the node to drain and stop.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.call(ctx, request{op: "client.shutdown", method: "POST", path: "/v1/shutdown"}, nil, nil)
}

// List returns a page of the objects the node owns.
func (c *Client) List(ctx context.Context, r api.ListRequest) (v api.ObjectPage, err error) {
	q := query{}.text("after", r.After).number("limit", r.Limit).text("find", r.Find).text("outputs", string(r.Outputs))
	err = c.call(ctx, request{op: "client.list", method: "GET", path: "/v1/objects", query: q.Values()}, nil, &v)
	return v, err
}

// Stat describes a file or folder.
func (c *Client) Stat(ctx context.Context, r api.StatRequest) (v api.Stat, err error) {
	q := query{}.text("path", r.Path).text("after", r.After).number("limit", r.Limit)
	err = c.call(ctx, request{
		op: "client.stat", method: "GET", path: objectPath(r.Link, ""), query: q.Values(), header: linkHeader(r.Link),
	}, nil, &v)
	return v, err
}

// Holders says where an object's blocks are.
func (c *Client) Holders(ctx context.Context, link api.Link) (v api.Holders, err error) {
	err = c.call(ctx, request{op: "client.holders", method: "GET", path: objectPath(link, "/holders"), header: linkHeader(link)}, nil, &v)
	return v, err
}

// Remove releases an object.
func (c *Client) Remove(ctx context.Context, link api.Link) error {
	return c.call(ctx, request{op: "client.remove", method: "DELETE", path: objectPath(link, ""), header: linkHeader(link)}, nil, nil)
}

// Quote estimates what Run would cost.
func (c *Client) Quote(ctx context.Context, r api.RunRequest) (v api.Quote, err error) {
	err = c.call(ctx, request{op: "client.quote", method: "POST", path: "/v1/quotes"}, r, &v)
	return v, err
}

// Jobs returns a page of jobs.
func (c *Client) Jobs(ctx context.Context, f api.JobFilter) (v api.JobPage, err error) {
	q := query{}.text("state", f.State).text("after", f.After).number("limit", f.Limit)
	if !f.Batch.IsZero() {
		q.text("batch", f.Batch.String())
	}
	if f.Active {
		q.text("active", "true")
	}
	err = c.call(ctx, request{op: "client.jobs", method: "GET", path: "/v1/jobs", query: q.Values()}, nil, &v)
	return v, err
}

// Job returns one job.
func (c *Client) Job(ctx context.Context, id api.ID) (v api.Job, err error) {
	err = c.call(ctx, request{op: "client.job", method: "GET", path: "/v1/jobs/" + id.String()}, nil, &v)
	return v, err
}

// JobCancel stops a job or a batch.
func (c *Client) JobCancel(ctx context.Context, id api.ID) error {
	return c.call(ctx, request{op: "client.cancel", method: "DELETE", path: "/v1/jobs/" + id.String()}, nil, nil)
}

// Modules lists what the node can run.
func (c *Client) Modules(ctx context.Context) (v []api.ModuleInfo, err error) {
	err = c.call(ctx, request{op: "client.modules", method: "GET", path: "/v1/modules"}, nil, &v)
	return v, err
}

// Module finds a module by name or hash.
func (c *Client) Module(ctx context.Context, ref string) (v api.ModuleInfo, err error) {
	err = c.call(ctx, request{op: "client.module", method: "GET", path: "/v1/modules/" + url.PathEscape(ref)}, nil, &v)
	return v, err
}

// ModuleReport says how the node supervises a module.
func (c *Client) ModuleReport(ctx context.Context, ref string) (v api.ModuleReport, err error) {
	err = c.call(ctx, request{op: "client.modulereport", method: "GET", path: "/v1/modules/" + url.PathEscape(ref) + "/supervisor"}, nil, &v)
	return v, err
}

// ModuleReset ends a module's quarantine on the node.
func (c *Client) ModuleReset(ctx context.Context, ref string) (v api.ModuleReport, err error) {
	err = c.call(ctx, request{op: "client.modulereset", method: "POST", path: "/v1/modules/" + url.PathEscape(ref) + "/reset"}, nil, &v)
	return v, err
}

// ModuleStart starts a resident module.
func (c *Client) ModuleStart(ctx context.Context, ref string, r api.ResidentStart) (v api.Resident, err error) {
	err = c.call(ctx, request{op: "client.modulestart", method: "POST", path: "/v1/modules/" + url.PathEscape(ref) + "/start"}, r, &v)
	return v, err
}

// ModuleStop stops a resident module.
func (c *Client) ModuleStop(ctx context.Context, ref string) (v api.Resident, err error) {
	err = c.call(ctx, request{op: "client.modulestop", method: "POST", path: "/v1/modules/" + url.PathEscape(ref) + "/stop"}, nil, &v)
	return v, err
}

// Residents lists the resident modules that run on the node, or ran.
func (c *Client) Residents(ctx context.Context) (v []api.Resident, err error) {
	err = c.call(ctx, request{op: "client.residents", method: "GET", path: "/v1/residents"}, nil, &v)
	return v, err
}

// ModuleAdd registers a module file.
func (c *Client) ModuleAdd(ctx context.Context, wasm io.Reader) (v api.ModuleInfo, err error) {
	err = c.call(ctx, request{
		op: "client.moduleadd", method: "POST", path: "/v1/modules", body: wasm,
		header: http.Header{"Content-Type": {"application/wasm"}},
	}, nil, &v)
	return v, err
}

// ModuleRemove forgets a module on the node, and everywhere with its author's
// withdrawal; zero is none.
func (c *Client) ModuleRemove(ctx context.Context, ref string, withdrawal [64]byte) error {
	q := query{}
	if withdrawal != [64]byte{} {
		q.text("withdrawal", hex.EncodeToString(withdrawal[:]))
	}
	return c.call(ctx, request{op: "client.modulerm", method: "DELETE", path: "/v1/modules/" + url.PathEscape(ref), query: q.Values()}, nil, nil)
}

// Invite makes a one-time invite.
func (c *Client) Invite(ctx context.Context, r api.InviteRequest) (v api.Invite, err error) {
	err = c.call(ctx, request{op: "client.invite", method: "POST", path: "/v1/invites"}, r, &v)
	return v, err
}

// Revoke ends a member's membership.
func (c *Client) Revoke(ctx context.Context, node string) error {
	return c.call(ctx, request{op: "client.revoke", method: "DELETE", path: "/v1/peers/" + url.PathEscape(node)}, nil, nil)
}

// Credits reports balances and entries.
func (c *Client) Credits(ctx context.Context, f api.CreditsFilter) (v api.CreditsReport, err error) {
	q := query{}.text("account", f.Account).text("cause", f.Cause).text("ref", f.Ref).number("limit", f.Limit)
	if f.Before > 0 {
		q.text("before", strconv.FormatUint(f.Before, 10))
	}
	err = c.call(ctx, request{op: "client.credits", method: "GET", path: "/v1/credits", query: q.Values()}, nil, &v)
	return v, err
}

// Transfer moves credits from the node's account, once per r.ID.
func (c *Client) Transfer(ctx context.Context, r api.TransferRequest) (v api.Entry, err error) {
	err = c.call(ctx, request{op: "client.transfer", method: "POST", path: "/v1/transfers"}, r, &v)
	return v, err
}

// Metrics copies the node's Prometheus text to w.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	const op = "client.metrics"
	res, err := c.do(ctx, request{op: op, method: "GET", path: "/metrics"})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(w, res.Body); err != nil {
		return c.transportError(ctx, op, err)
	}
	return nil
}

// query builds parameters and leaves out empty ones.
type query url.Values

func (q query) text(name, v string) query {
	if v != "" {
		q[name] = []string{v}
	}
	return q
}

func (q query) number(name string, n int) query {
	if n != 0 {
		q[name] = []string{strconv.Itoa(n)}
	}
	return q
}

func (q query) Values() url.Values { return url.Values(q) }
