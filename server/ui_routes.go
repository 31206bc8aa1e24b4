package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"inos/kernel/api"
)

// uiRoutes registers what the page needs beyond the rest of the API.
func (s *Server) uiRoutes(h huma.API) {
	handle(h, op("POST", "/v1/signin", "signin", "page", "Make a one-time link that opens the page"),
		func(ctx context.Context, _ *none) (api.SignIn, error) {
			if fromPage(ctx) {
				return api.SignIn{}, api.Errorf("server.signin", api.Denied, "a page cannot sign others in; run `inos ui`")
			}
			return s.SignIn()
		})
	handle(h, op("POST", "/v1/tickets", "ticket", "page", "An address of bytes for an element of the page"), s.ticket)
	handle(h, op("GET", "/v1/log", "log", "node", "The newest lines of the node's log, oldest first"),
		func(context.Context, *none) ([]api.LogLine, error) {
			if s.cfg.Recent == nil {
				return []api.LogLine{}, nil
			}
			return list(s.cfg.Recent(), nil)
		})
	handle(h, op("POST", "/v1/uploads", "uploadBegin", "objects", "Begin or resume an upload in parts"), s.uploads.begin)
	act(h, op("DELETE", "/v1/uploads/{id}", "uploadAbandon", "objects", "Stop an upload in parts"), s.uploads.abandon)
}

func uploadPartOperation(r huma.Registry) *huma.Operation {
	return &huma.Operation{
		OperationID: "uploadPart", Method: http.MethodPut, Path: "/v1/uploads/{id}", Tags: []string{"objects"},
		Summary: "Send the next part of an upload",
		Parameters: []*huma.Param{
			{Name: "id", In: "path", Required: true, Schema: stringSchema, Description: "32 hex digits"},
			query("offset", integerSchema, "where the part begins: the upload's offset"),
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/octet-stream": {Schema: binarySchema},
		}},
		Responses: answer("How far the upload has come", "application/json", schemaOf[api.Upload](r)),
	}
}

func uploadWatchOperation(r huma.Registry) *huma.Operation {
	return &huma.Operation{
		OperationID: "uploadWatch", Method: http.MethodGet, Path: "/v1/uploads/{id}", Tags: []string{"objects"},
		Summary:    "Progress of an upload in parts",
		Parameters: []*huma.Param{{Name: "id", In: "path", Required: true, Schema: stringSchema, Description: "32 hex digits"}},
		Responses:  answer("Lines of progress, then the object", ndjsonType, schemaOf[api.PutUpdate](r)),
	}
}
