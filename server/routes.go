package server

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"inos/kernel/api"
)

// handler assembles routes and guards, outermost first: a slot, permission,
// the route.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	doc := s.routes(mux)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(doc())
	})
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, api.Errorf("server.route", api.NotFound, "there is nothing at this address; /openapi.json lists what there is"))
	})
	s.routed = mux
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		duplex(w, r)
		if !s.authorize(w, r) {
			return
		}
		if err := s.acquire(r.Context()); err != nil {
			writeError(w, err)
			return
		}
		defer s.release()
		mux.ServeHTTP(w, r)
	})
}

// routes registers every operation of /v1 and returns the OpenAPI document.
func (s *Server) routes(mux *http.ServeMux) func() []byte {
	cfg := huma.DefaultConfig("INOS node", s.cfg.Version)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.CreateHooks = nil // no $schema members in answers
	h := humago.New(mux, cfg)
	s.describe(h.OpenAPI())
	s.nodeRoutes(h)
	s.objectRoutes(h)
	s.jobRoutes(h)
	s.moduleRoutes(h)
	s.meshRoutes(h)
	s.creditRoutes(h)
	s.uiRoutes(h)
	s.streamRoutes(mux, h.OpenAPI())
	return document(h.OpenAPI())
}

type body[T any] struct{ Body T }

type none struct{}

// op describes a short operation.
func op(method, path, id, tag, summary string) huma.Operation {
	o := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag},
		MaxBodyBytes: maxJSON, SkipValidateBody: true, DefaultStatus: http.StatusOK,
	}
	if method == http.MethodDelete || id == "shutdown" {
		o.DefaultStatus = http.StatusNoContent
	}
	return o
}

// handle registers a short operation: bounded in time, errors mapped.
func handle[I, T any](h huma.API, o huma.Operation, fn func(context.Context, *I) (T, error)) {
	huma.Register(h, o, func(ctx context.Context, in *I) (*body[T], error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		v, err := fn(ctx, in)
		if err != nil {
			return nil, humaError(err)
		}
		return &body[T]{v}, nil
	})
}

// act registers a short operation without an answer.
func act[I any](h huma.API, o huma.Operation, fn func(context.Context, *I) error) {
	huma.Register(h, o, func(ctx context.Context, in *I) (*none, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		if err := fn(ctx, in); err != nil {
			return nil, humaError(err)
		}
		return nil, nil
	})
}

func (s *Server) nodeRoutes(h huma.API) {
	handle(h, op("GET", "/v1/status", "status", "node", "How the node is"),
		func(ctx context.Context, _ *none) (api.Status, error) { return s.backend.Status(ctx) })
	handle(h, op("GET", "/v1/doctor", "doctor", "node", "Check the node and say what to fix"),
		func(ctx context.Context, _ *none) ([]api.Check, error) { return list(s.backend.Doctor(ctx)) })
	handle(h, op("GET", "/v1/settings", "settings", "node", "The settings in force and where each came from"),
		func(context.Context, *none) ([]api.Setting, error) { return list(s.cfg.Settings, nil) })
	handle(h, op("GET", "/v1/arena", "arena", "node", "The live map of the node's shared memory"),
		func(ctx context.Context, _ *none) (api.ArenaMap, error) { return s.backend.Arena(ctx) })
	act(h, op("POST", "/v1/shutdown", "shutdown", "node", "Drain and stop the node"),
		func(ctx context.Context, _ *none) error { return s.backend.Shutdown(ctx) })
}

// linkInput names an object: its root in the path, its key in a header.
type linkInput struct {
	Root string `path:"root" doc:"address of the root manifest, a CIDv1"`
	Key  string `header:"Inos-Key" doc:"the 43 characters after # of a private link"`
}

func (in *linkInput) link() (api.Link, error) { return linkOf(in.Root, in.Key) }

type listInput struct {
	After   string `query:"after" doc:"next of the page before"`
	Limit   int    `query:"limit" minimum:"0" maximum:"1000" doc:"0 means 200"`
	Find    string `query:"find" maxLength:"255" doc:"only objects with this name or root address"`
	Outputs string `query:"outputs" doc:"outputs of jobs: hide leaves them out and counts them, only lists nothing else"`
}

// statInput repeats the fields above: huma does not look into embedded types
// that are not exported.
type statInput struct {
	Root  string `path:"root" doc:"address of the root manifest, a CIDv1"`
	Key   string `header:"Inos-Key" doc:"the 43 characters after # of a private link"`
	Path  string `query:"path" doc:"a file or folder inside the object"`
	After string `query:"after" doc:"next of the page before"`
	Limit int    `query:"limit" minimum:"0" maximum:"1000" doc:"0 means 200"`
}

func (s *Server) objectRoutes(h huma.API) {
	handle(h, op("GET", "/v1/objects", "list", "objects", "Objects this node owns, newest first"),
		func(ctx context.Context, in *listInput) (api.ObjectPage, error) {
			outputs := api.OutputFilter(in.Outputs)
			if !outputs.Valid() {
				return api.ObjectPage{}, api.Errorf("server.list", api.Invalid, "outputs is hide, only or empty")
			}
			page, err := s.backend.List(ctx, api.ListRequest{After: in.After, Limit: limit(in.Limit), Find: in.Find, Outputs: outputs})
			page.Objects, err = list(page.Objects, err)
			return page, err
		})
	handle(h, op("GET", "/v1/objects/{root}", "stat", "objects", "A file or folder of an object, and what a folder holds"), s.stat)
	handle(h, op("GET", "/v1/objects/{root}/holders", "holders", "objects", "Where an object's blocks are"),
		func(ctx context.Context, in *linkInput) (api.Holders, error) {
			link, err := in.link()
			if err != nil {
				return api.Holders{}, err
			}
			v, err := s.backend.Holders(ctx, link)
			v.Holders, err = list(v.Holders, err)
			return v, err
		})
	act(h, op("DELETE", "/v1/objects/{root}", "remove", "objects", "Release an object this node owns"),
		func(ctx context.Context, in *linkInput) error {
			link, err := in.link()
			if err != nil {
				return err
			}
			return s.backend.Remove(ctx, link)
		})
}

func (s *Server) stat(ctx context.Context, in *statInput) (api.Stat, error) {
	link, err := linkOf(in.Root, in.Key)
	if err == nil {
		err = cleanPath(in.Path)
	}
	if err != nil {
		return api.Stat{}, err
	}
	v, err := s.backend.Stat(ctx, api.StatRequest{Link: link, Path: in.Path, After: in.After, Limit: limit(in.Limit)})
	v.Entries, err = list(v.Entries, err)
	return v, err
}

type jobsInput struct {
	After  string `query:"after" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"0" maximum:"1000" doc:"0 means 200"`
	Batch  string `query:"batch" doc:"only jobs of this run"`
	State  string `query:"state" doc:"queued, quoted, running, done, failed or stopped"`
	Active bool   `query:"active" doc:"only jobs that are not final"`
}

type idInput struct {
	ID string `path:"id" doc:"32 hex digits"`
}

func (s *Server) jobRoutes(h huma.API) {
	quote := op("POST", "/v1/quotes", "quote", "jobs", "What a run would cost; starts nothing")
	quote.MaxBodyBytes = maxRun
	handle(h, quote, func(ctx context.Context, in *body[api.RunRequest]) (api.Quote, error) {
		if err := checkRun(&in.Body); err != nil {
			return api.Quote{}, err
		}
		q, err := s.backend.Quote(ctx, in.Body)
		q.Offers, err = list(q.Offers, err)
		return q, err
	})
	handle(h, op("GET", "/v1/jobs", "jobs", "jobs", "Jobs this node pays for, newest first"), s.jobs)
	handle(h, op("GET", "/v1/jobs/{id}", "job", "jobs", "One job"),
		func(ctx context.Context, in *idInput) (api.Job, error) {
			id, err := api.ParseID(in.ID)
			if err != nil {
				return api.Job{}, err
			}
			return s.backend.Job(ctx, id)
		})
	act(h, op("DELETE", "/v1/jobs/{id}", "jobCancel", "jobs", "Stop a job, or every job of a run"),
		func(ctx context.Context, in *idInput) error {
			id, err := api.ParseID(in.ID)
			if err != nil {
				return err
			}
			return s.backend.JobCancel(ctx, id)
		})
}

func (s *Server) jobs(ctx context.Context, in *jobsInput) (api.JobPage, error) {
	f := api.JobFilter{Active: in.Active, State: in.State, After: in.After, Limit: limit(in.Limit)}
	if in.Batch != "" {
		id, err := api.ParseID(in.Batch)
		if err != nil {
			return api.JobPage{}, err
		}
		f.Batch = id
	}
	if in.State != "" {
		var st api.JobState
		if err := st.UnmarshalText([]byte(in.State)); err != nil {
			return api.JobPage{}, err
		}
	}
	page, err := s.backend.Jobs(ctx, f)
	page.Jobs, err = list(page.Jobs, err)
	return page, err
}

type refInput struct {
	Ref string `path:"ref" maxLength:"128" doc:"a module's name, name@version, hash or a hash's first digits"`
}

func (s *Server) moduleRoutes(h huma.API) {
	handle(h, op("GET", "/v1/modules", "modules", "modules", "Modules this node can run"),
		func(ctx context.Context, _ *none) ([]api.ModuleInfo, error) { return list(s.backend.Modules(ctx)) })
	handle(h, op("GET", "/v1/modules/{ref}", "module", "modules", "One module, by name, name@version, name@version:author or hash"),
		func(ctx context.Context, in *refInput) (api.ModuleInfo, error) { return s.backend.Module(ctx, in.Ref) })
	handle(h, op("GET", "/v1/modules/{ref}/supervisor", "moduleReport", "modules", "How this node supervises a module"),
		func(ctx context.Context, in *refInput) (api.ModuleReport, error) {
			return s.backend.ModuleReport(ctx, in.Ref)
		})
	handle(h, op("POST", "/v1/modules/{ref}/reset", "moduleReset", "modules", "End a module's quarantine on this node and forget its crashes"),
		func(ctx context.Context, in *refInput) (api.ModuleReport, error) {
			return s.backend.ModuleReset(ctx, in.Ref)
		})
	handle(h, op("GET", "/v1/residents", "residents", "modules", "Resident modules that run on this node, or ran"),
		func(ctx context.Context, _ *none) ([]api.Resident, error) { return list(s.backend.Residents(ctx)) })
	handle(h, op("POST", "/v1/modules/{ref}/start", "moduleStart", "modules", "Start a resident module"),
		func(ctx context.Context, in *struct {
			Ref  string `path:"ref" maxLength:"128"`
			Body api.ResidentStart
		},
		) (api.Resident, error) {
			return s.backend.ModuleStart(ctx, in.Ref, in.Body)
		})
	handle(h, op("POST", "/v1/modules/{ref}/stop", "moduleStop", "modules", "Stop a resident module"),
		func(ctx context.Context, in *refInput) (api.Resident, error) {
			return s.backend.ModuleStop(ctx, in.Ref)
		})
	act(h, op("DELETE", "/v1/modules/{ref}", "moduleRemove", "modules", "Forget a module on this node, or with its author's withdrawal everywhere"),
		func(ctx context.Context, in *struct {
			Ref        string `path:"ref" maxLength:"128"`
			Withdrawal string `query:"withdrawal" maxLength:"128" doc:"the author's signature over the content, 128 hex digits"`
		},
		) error {
			var sig [64]byte
			raw, err := hex.DecodeString(in.Withdrawal)
			if err != nil || len(raw) != 0 && len(raw) != len(sig) {
				return api.Errorf("server.module", api.Invalid, "a withdrawal has 128 hex digits")
			}
			copy(sig[:], raw)
			return s.backend.ModuleRemove(ctx, in.Ref, sig)
		})
}

func (s *Server) meshRoutes(h huma.API) {
	handle(h, op("GET", "/v1/peers", "peers", "mesh", "Members of the mesh"),
		func(ctx context.Context, _ *none) ([]api.Peer, error) { return list(s.backend.Peers(ctx)) })
	handle(h, op("POST", "/v1/tabs", "tabs", "mesh", "Open this node to browser tabs and say how they reach the mesh"),
		func(ctx context.Context, _ *none) (api.TabAccess, error) { return s.backend.Tabs(ctx) })
	handle(h, op("POST", "/v1/invites", "invite", "mesh", "Make a one-time invite"),
		func(ctx context.Context, in *body[api.InviteRequest]) (api.Invite, error) {
			if in.Body.TTL < 0 || len(in.Body.Name) > api.MaxName {
				return api.Invite{}, api.Errorf("server.invite", api.Invalid, "an invite lasts a positive time and names at most 32 characters")
			}
			return s.backend.Invite(ctx, in.Body)
		})
	act(h, op("DELETE", "/v1/peers/{node}", "revoke", "mesh", "End a member's membership"),
		func(ctx context.Context, in *struct {
			Node string `path:"node" maxLength:"128" doc:"name or id"`
		},
		) error {
			return s.backend.Revoke(ctx, in.Node)
		})
}

type creditsInput struct {
	Account string `query:"account" maxLength:"128" doc:"an account, node name or id"`
	Cause   string `query:"cause" doc:"genesis, grant, escrow, settle, refund, storage, serve or transfer"`
	Ref     string `query:"ref" maxLength:"128"`
	Before  uint64 `query:"before" doc:"next of the page before"`
	Limit   int    `query:"limit" minimum:"0" maximum:"1000" doc:"0 means 200"`
}

func (s *Server) creditRoutes(h huma.API) {
	handle(h, op("GET", "/v1/credits", "credits", "credits", "Balances and entries, newest first"),
		func(ctx context.Context, in *creditsInput) (api.CreditsReport, error) {
			if in.Cause != "" {
				var c api.Cause
				if err := c.UnmarshalText([]byte(in.Cause)); err != nil {
					return api.CreditsReport{}, err
				}
			}
			r, err := s.backend.Credits(ctx, api.CreditsFilter{
				Account: in.Account, Cause: in.Cause, Ref: in.Ref, Before: in.Before, Limit: limit(in.Limit),
			})
			r.Balances, err = list(r.Balances, err)
			r.Entries, err = list(r.Entries, err)
			r.Escrows, err = list(r.Escrows, err)
			return r, err
		})
	handle(h, op("POST", "/v1/transfers", "transfer", "credits", "Move credits from this node's account"),
		func(ctx context.Context, in *body[api.TransferRequest]) (api.Entry, error) {
			t := in.Body
			if t.ID.IsZero() || t.To == "" || t.Amount <= 0 || len(t.Memo) > 128 {
				return api.Entry{}, api.Errorf("server.transfer", api.Invalid, "a transfer has an id, a receiver, a positive amount and a memo of at most 128 bytes")
			}
			return s.backend.Transfer(ctx, t)
		})
}

// limit applies the default and the bound of a page.
func limit(n int) int {
	if n <= 0 {
		return api.DefaultPage
	}
	return min(n, api.MaxPage)
}

// list makes an empty answer [] and not null.
func list[T any](v []T, err error) ([]T, error) {
	if v == nil {
		v = []T{}
	}
	return v, err
}
