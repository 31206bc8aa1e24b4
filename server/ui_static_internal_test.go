package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// get asks for a file as the page's handler does.
func get(a *assets, name, etag string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/"+name, nil)
	r.Header.Set("Accept-Encoding", "br")
	r.Header.Set("If-None-Match", etag)
	dress(w.Header())
	a.serve(w, r)
	return w
}

// TestPolicies: the network worker alone reaches the nodes, those of the moment. A
// policy that was kept with its script would keep a tab from nodes that joined
// later. A worker that runs modules reaches nothing and makes no workers.
func TestPolicies(t *testing.T) {
	reach := []string{"ws://192.0.2.1:1"}
	a := &assets{files: map[string]asset{}, reach: func() []string { return reach }}
	own, isolated := "connect-src 'self'", "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'none'"
	for _, tt := range []struct{ name, cache, policy string }{
		{"index.html", "no-cache", own},
		{"assets/index-1a2b3c4d.js", "immutable", own},
		{"assets/kernel.worker-1a2b3c4d.js", "immutable", own},
		{"assets/module.worker-1a2b3c4d.js", "immutable", isolated},
		{"assets/resident.worker-1a2b3c4d.js", "immutable", isolated},
		{"assets/net.worker-1a2b3c4d.js", "no-cache", own + " ws://192.0.2."},
	} {
		a.files[tt.name] = newAsset(tt.name, []byte("not read"))
		etag := ""
		for _, node := range []string{"1:1", "9:1"} {
			reach[0] = "ws://192.0.2." + node
			want := tt.policy
			if strings.HasSuffix(want, ".") {
				want += node
			}
			got := get(a, tt.name, etag)
			csp, cache := got.Header().Get("Content-Security-Policy"), got.Header().Get("Cache-Control")
			if !strings.HasSuffix(csp, want) || !strings.HasPrefix(csp, "default-src 'none'; ") || !strings.Contains(cache, tt.cache) {
				t.Errorf("%s: %q, %q", tt.name, csp, cache)
			}
			if fresh := etag == ""; fresh != (got.Code == http.StatusOK) || !fresh && got.Code != http.StatusNotModified {
				t.Errorf("%s: status %d", tt.name, got.Code)
			}
			etag = got.Header().Get("ETag")
		}
	}
}
