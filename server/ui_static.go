package server

import (
	"bytes"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/zeebo/blake3"

	"inos/frontend"
	"inos/kernel/api"
)

// assets are the page's files as they are embedded: Brotli-compressed. They are
// sent as they are to whoever takes Brotli and unpacked for the others.
type assets struct {
	files  map[string]asset // by path, without the leading slash
	kernel kernelAssets
	reach  func() []string // what the network worker connects to, at the moment
}

type asset struct {
	packed      []byte
	contentType string
	etag        string
	hashed      bool // the name changes with the content
}

const brotliSuffix = ".br"

func openAssets(reach func() []string) (*assets, error) {
	a := &assets{files: map[string]asset{}, reach: reach}
	err := a.add(frontend.Dist(), "")
	if err == nil {
		err = a.add(frontend.Kernel(), kernelPath)
	}
	if err == nil && a.files["index.html"].packed == nil {
		err = api.Errorf("server.assets", api.NotFound, "the program was built without the page; run scripts/frontend.sh")
	}
	if err != nil {
		return nil, api.E("server.assets", api.KindOf(err), err)
	}
	return a, nil
}

// add takes the files of an embedded folder under a path.
func (a *assets) add(from fs.FS, under string) error {
	return fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		plain, packed := strings.CutSuffix(under+name, brotliSuffix)
		if err != nil || d.IsDir() || !packed {
			return err
		}
		raw, err := fs.ReadFile(from, name)
		if err == nil {
			a.files[plain] = newAsset(plain, raw)
		}
		return err
	})
}

func newAsset(name string, packed []byte) asset {
	hashed := strings.HasPrefix(name, "assets/") || strings.HasPrefix(name, kernelPath) && name != kernelBoot
	return asset{
		packed: packed, contentType: assetType(name), etag: `"` + base64Short(blake3.Sum256(packed)) + `"`,
		hashed: hashed && !networkWorker(name),
	}
}

// networkWorker reports whether a file is the script of the thread that connects
// to the mesh. It has the policy that its script came with, and that names the
// nodes of the moment: so browsers and proxies ask again each time, and the answer
// that nothing changed brings the new policy.
func networkWorker(name string) bool { return strings.HasPrefix(name, "assets/net.worker-") }

func base64Short(sum [32]byte) string {
	return strconv.FormatUint(uint64(sum[0])<<56|uint64(sum[1])<<48|uint64(sum[2])<<40|uint64(sum[3])<<32|uint64(sum[4])<<24|uint64(sum[5])<<16|uint64(sum[6])<<8|uint64(sum[7]), 36)
}

// assetType does not ask the machine's own tables, which differ.
func assetType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".wasm":
		return "application/wasm"
	case ".json", ".webmanifest":
		return "application/json"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// serve answers with a file, or with the page itself for the address of one of
// its views.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeError(w, api.Errorf("server.assets", api.Unsupported, "the page's files are read with GET"))
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	f, ok := a.files[name]
	if !ok && strings.HasPrefix(name, kernelPath) {
		f, ok = a.ofKernel(name)
	}
	if !ok && !strings.Contains(name, ".") && !strings.HasPrefix(name, "assets/") && !strings.HasPrefix(name, kernelPath) {
		f, ok = a.files["index.html"]
	}
	if !ok {
		writeError(w, api.Errorf("server.assets", api.NotFound, "the page has no such file"))
		return
	}
	h := w.Header()
	switch { // a worker has the policy that its script came with; others have the page's
	case isolatedWorker(name):
		h.Set("Content-Security-Policy", workerPolicy)
	case networkWorker(name):
		h.Set("Content-Security-Policy", networkPolicy(a.reach()))
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", f.etag)
	if f.hashed {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if takesBrotli(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "br")
		h.Set("Content-Length", strconv.Itoa(len(f.packed)))
		_, _ = w.Write(f.packed)
		return
	}
	_, _ = io.Copy(w, brotli.NewReader(bytes.NewReader(f.packed)))
}

// workerPolicy is that of the threads which run modules. They may compile
// WebAssembly, connect to nothing, and make no further workers, which script-src
// would let them.
const workerPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'none'"

// isolatedWorker reports whether a file is the script of such a thread.
func isolatedWorker(name string) bool {
	return strings.HasPrefix(name, "assets/module.worker-") || strings.HasPrefix(name, "assets/resident.worker-")
}

// takesBrotli reads Accept-Encoding: br is named and not refused with q=0.
//
// Source: RFC 9110, section 12.5.3.
func takesBrotli(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "br") {
			continue
		}
		q, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if !ok {
			return true
		}
		v, err := strconv.ParseFloat(q, 64)
		return err == nil && v > 0
	}
	return false
}
