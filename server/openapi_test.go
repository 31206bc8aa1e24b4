package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"inos/server"
	"inos/server/servertest"
)

const openAPIFile = "../docs/openapi.json"

// TestOpenAPIIsCurrent compares the document the server gives with the one in
// docs; -update rewrites it.
func TestOpenAPIIsCurrent(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	s, err := server.Open(servertest.New(), server.Config{Socket: sock, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	defer func() { _ = s.Shutdown(context.Background()) }()
	hc := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", sock)
	}}}
	res, err := hc.Get("http://inos/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(openAPIFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/openapi.json is stale; run: go test ./server -run OpenAPI -update")
	}
	var doc struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(got, &doc); err != nil || doc.OpenAPI != "3.1.0" {
		t.Fatal(doc.OpenAPI, err)
	}
	operations := 0
	for _, methods := range doc.Paths {
		operations += len(methods)
	}
	if operations != 40 {
		t.Errorf("the document has %d operations", operations)
	}
}
