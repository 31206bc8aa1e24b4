package tab

import (
	"context"
	"encoding/json"
	"io"

	"inos/kernel/api"
)

// method answers one call: with a value, or after items and bytes with nil.
type method func(c *call) (any, error)

// argument decodes what a method takes.
func argument[T any](c *call) (v T, err error) {
	if len(c.args) > 0 {
		err = json.Unmarshal(c.args, &v)
	}
	if err != nil {
		err = api.E("tab.call", api.Invalid, err)
	}
	return v, err
}

// ask is a method of the node that takes one value and returns one.
func ask[A, R any](fn func(Backend, context.Context, A) (R, error)) method {
	return func(c *call) (any, error) {
		n, err := c.s.host.Node()
		if err != nil {
			return nil, err
		}
		a, err := argument[A](c)
		if err != nil {
			return nil, err
		}
		return fn(n, c.ctx, a)
	}
}

type none struct{}

// query is a method of the node that takes nothing.
func query[R any](fn func(Backend, context.Context) (R, error)) method {
	return ask(func(n Backend, ctx context.Context, _ none) (R, error) { return fn(n, ctx) })
}

// act is a method of the node that returns nothing.
func act[A any](fn func(Backend, context.Context, A) error) method {
	return ask(func(n Backend, ctx context.Context, a A) (none, error) { return none{}, fn(n, ctx, a) })
}

// control is a method of the host; it answers with the state afterwards.
func control[A any](fn func(Host, context.Context, A) error) method {
	return func(c *call) (any, error) {
		a, err := argument[A](c)
		if err == nil {
			err = fn(c.s.host, c.ctx, a)
		}
		return c.s.host.State(), err
	}
}

// methods by name: those of the HTTP API under its operation ids, and those of the
// tab alone.
var methods map[string]method

func init() {
	methods = map[string]method{
		"status":       query(Backend.Status),
		"arena":        query(Backend.Arena),
		"peers":        query(Backend.Peers),
		"doctor":       query(Backend.Doctor),
		"modules":      query(Backend.Modules),
		"module":       ask(Backend.Module),
		"moduleAdd":    moduleAdd,
		"moduleReport": ask(Backend.ModuleReport),
		"moduleReset":  ask(Backend.ModuleReset),
		"moduleStart":  ask(moduleStart),
		"moduleStop":   ask(Backend.ModuleStop),
		"residents":    query(Backend.Residents),
		"stat":         ask(Backend.Stat),
		"list":         ask(Backend.List),
		"holders":      ask(Backend.Holders),
		"quote":        ask(Backend.Quote),
		"jobs":         ask(Backend.Jobs),
		"job":          ask(Backend.Job),
		"credits":      ask(Backend.Credits),
		"transfer":     ask(Backend.Transfer),
		"remove":       act(Backend.Remove),
		"jobCancel":    act(Backend.JobCancel),
		"put":          put,
		"get":          get,
		"run":          run,
		"events":       events,

		"state":     control(func(Host, context.Context, none) error { return nil }),
		"join":      control(join),
		"leave":     control(func(h Host, ctx context.Context, _ none) error { return h.Leave(ctx) }),
		"import":    control(func(h Host, ctx context.Context, secret string) error { return h.Import(ctx, secret) }),
		"configure": control(func(h Host, _ context.Context, s Settings) error { return h.Configure(s) }),
		"stop":      control(func(h Host, ctx context.Context, _ none) error { return h.Stop(ctx) }),
		"watch":     watch,
		"export":    func(c *call) (any, error) { return c.s.host.Secret(c.ctx) },
	}
}

// watch sends the state at once and at every change.
func watch(c *call) (any, error) {
	return none{}, c.s.host.Watch(c.ctx, func(s State) error { return c.item(s) })
}

type joining struct {
	Invite string `json:"invite"`
	Leave  bool   `json:"leave"` // another mesh, with what this tab has there
}

func join(h Host, ctx context.Context, a joining) error { return h.Join(ctx, a.Invite, a.Leave) }

// starting is what a resident is started with: a module, as for Module, and the rest.
type starting struct {
	Ref string `json:"ref"`
	api.ResidentStart
}

func moduleStart(n Backend, ctx context.Context, a starting) (api.Resident, error) {
	return n.ModuleStart(ctx, a.Ref, a.ResidentStart)
}

// moduleAdd takes the call's body: a module's file.
func moduleAdd(c *call) (any, error) {
	return ask(func(n Backend, ctx context.Context, _ none) (api.ModuleInfo, error) { return n.ModuleAdd(ctx, c.body) })(c)
}

// put takes the call's body: a file's bytes, or a folder as tar. Items are
// progress.
func put(c *call) (any, error) {
	return ask(func(n Backend, ctx context.Context, req api.PutRequest) (api.Object, error) {
		return n.Put(ctx, req, c.body, func(p api.Progress) { _ = c.item(p) })
	})(c)
}

// get sends what it is about as an item, then its bytes.
func get(c *call) (any, error) {
	return ask(func(n Backend, ctx context.Context, req api.GetRequest) (none, error) {
		return none{}, n.Get(ctx, req, func(info api.FileInfo) (io.Writer, error) { return c, c.item(info) })
	})(c)
}

// run sends each state of each job as an item.
func run(c *call) (any, error) {
	return ask(func(n Backend, ctx context.Context, req api.RunRequest) (none, error) {
		return none{}, n.Run(ctx, req, func(j api.Job) error { return c.item(j) })
	})(c)
}

// events sends what the log remembers after a position, then what happens.
func events(c *call) (any, error) {
	return ask(func(n Backend, ctx context.Context, since uint64) (none, error) {
		return none{}, n.Events(ctx, since, func(e api.Event) error { return c.item(e) })
	})(c)
}
