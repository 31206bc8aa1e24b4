package server

import (
	"encoding/json"
	"net/http"
	"reflect"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"inos/kernel/api"
)

// describe fills the document's head.
func (s *Server) describe(doc *huma.OpenAPI) {
	doc.Info.Description = "The local API of an INOS node, over its Unix socket or, with a bearer token, over loopback TCP. " +
		"Amounts are integer microcredits. Streams are NDJSON; docs/api.md says how they end."
	doc.Info.License = &huma.License{Name: "MIT", Identifier: "MIT"}
	doc.Servers = []*huma.Server{{URL: "http://127.0.0.1:4280", Description: "with --api 127.0.0.1:4280"}}
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "over TCP; the token file's path is in `inos config`"},
	}
	doc.Security = []map[string][]string{{"token": {}}}
}

// document renders the OpenAPI document once, when first asked for.
func document(doc *huma.OpenAPI) func() []byte {
	return sync.OnceValue(func() []byte {
		for _, name := range []string{"Limits", "Policy", "RunRequest", "InviteRequest", "UploadRequest"} {
			if sch := doc.Components.Schemas.Map()[name]; sch != nil {
				sch.Required = nil // a missing member is its zero value, which has a meaning
			}
		}
		raw, err := json.MarshalIndent(doc, "", "  ")
		if err != nil {
			panic("server: the OpenAPI document does not marshal: " + err.Error()) // a defect the tests catch
		}
		return append(raw, '\n')
	})
}

// streamRoutes mounts the plain handlers and describes them.
func (s *Server) streamRoutes(mux *http.ServeMux, doc *huma.OpenAPI) {
	r := doc.Components.Schemas
	for _, v := range []struct {
		op      *huma.Operation
		handler http.HandlerFunc
	}{
		{putOperation(r), s.put},
		{getOperation("content", "A file's bytes", "application/octet-stream"), s.get(false)},
		{getOperation("tar", "A folder or file as a tar stream", "application/x-tar"), s.get(true)},
		{runOperation(r), s.run},
		{eventsOperation(r), s.events},
		{moduleAddOperation(r), s.moduleAdd},
		{uploadPartOperation(r), s.uploads.partPut},
		{uploadWatchOperation(r), s.uploads.watch},
	} {
		v.op.Responses["default"] = &huma.Response{
			Description: "Error",
			Content:     map[string]*huma.MediaType{problemType: {Schema: schemaOf[api.Problem](r)}},
		}
		doc.AddOperation(v.op)
		mux.HandleFunc(v.op.Method+" "+v.op.Path, v.handler)
	}
}

func schemaOf[T any](r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

var (
	stringSchema  = &huma.Schema{Type: huma.TypeString}
	integerSchema = &huma.Schema{Type: huma.TypeInteger}
	booleanSchema = &huma.Schema{Type: huma.TypeBoolean}
	binarySchema  = &huma.Schema{Type: huma.TypeString, Format: "binary"}
)

func query(name string, schema *huma.Schema, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Schema: schema, Description: doc}
}

func answer(doc, mediaType string, schema *huma.Schema) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: doc,
		Content:     map[string]*huma.MediaType{mediaType: {Schema: schema}},
	}}
}

func putOperation(r huma.Registry) *huma.Operation {
	return &huma.Operation{
		OperationID: "put", Method: http.MethodPost, Path: putPath, Tags: []string{"objects"},
		Summary:     "Store a file, or a folder sent as a tar stream",
		Description: "Progress lines arrive while the body is still being sent; the last line holds the object or an error.",
		Parameters: []*huma.Param{
			query("name", stringSchema, "the object's name"),
			query("folder", booleanSchema, "the body is a tar stream"),
			query("copies", integerSchema, "distinct holders; 0 means 3"),
			query("min_acks", integerSchema, "receipts to wait for; 0 means as many copies as there are holders online"),
			query("until", integerSchema, "Unix seconds; 0 means until removed"),
			query("public", booleanSchema, "do not seal"),
			query("size", integerSchema, "plaintext bytes to come, for progress"),
			query("files", integerSchema, "files to come, for progress"),
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/octet-stream": {Schema: binarySchema},
			"application/x-tar":        {Schema: binarySchema},
		}},
		Responses: answer("Lines of progress, then the object", ndjsonType, schemaOf[api.PutUpdate](r)),
	}
}

func getOperation(what, summary, mediaType string) *huma.Operation {
	o := &huma.Operation{
		OperationID: what, Method: http.MethodGet, Path: "/v1/objects/{root}/" + what, Tags: []string{"objects"}, Summary: summary,
		Parameters: []*huma.Param{
			{Name: "root", In: "path", Required: true, Schema: stringSchema, Description: "address of the root manifest, a CIDv1"},
			{Name: keyHeader, In: "header", Schema: stringSchema, Description: "the 43 characters after # of a private link"},
			query("path", stringSchema, "a file or folder inside the object"),
		},
		Responses: answer("The bytes. The "+fileHeader+" header describes them as a FileInfo", mediaType, binarySchema),
	}
	if what == "content" {
		o.Parameters = append(o.Parameters, &huma.Param{Name: "Range", In: "header", Schema: stringSchema, Description: "one range, bytes=first-last"})
		o.Responses["206"] = &huma.Response{Description: "The range", Content: o.Responses["200"].Content}
	}
	return o
}

func runOperation(r huma.Registry) *huma.Operation {
	return &huma.Operation{
		OperationID: "run", Method: http.MethodPost, Path: "/v1/runs", Tags: []string{"jobs"},
		Summary:     "Call a method once per input",
		Description: "A line per change of a job's state, until every job is final. Closing the connection cancels the run.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemaOf[api.RunRequest](r)},
		}},
		Responses: answer("Lines of job updates", ndjsonType, schemaOf[api.RunUpdate](r)),
	}
}

func eventsOperation(r huma.Registry) *huma.Operation {
	return &huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: "/v1/events", Tags: []string{"node"},
		Summary:    "What happens on the node, as CloudEvents",
		Parameters: []*huma.Param{query("since", integerSchema, "the id of the last event seen; 0 means all that the node remembers")},
		Responses:  answer("A line per event, without end", ndjsonType, schemaOf[api.EventUpdate](r)),
	}
}

func moduleAddOperation(r huma.Registry) *huma.Operation {
	return &huma.Operation{
		OperationID: "moduleAdd", Method: http.MethodPost, Path: "/v1/modules", Tags: []string{"modules"},
		Summary: "Validate, store and register a module",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/wasm": {Schema: binarySchema},
		}},
		Responses: answer("The module", "application/json", schemaOf[api.ModuleInfo](r)),
	}
}
