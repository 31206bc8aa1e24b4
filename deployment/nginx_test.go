package deployment_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mrand "math/rand"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/zeebo/blake3"

	"inos/cluster"
	"inos/kernel/api"
)

var built, exe string // a folder for the program, and the program once it is built

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "inos-deployment-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

// site is nginx with this folder's site file before the pages of real nodes.
type site struct {
	t     *testing.T
	mesh  *cluster.Cluster
	url   string
	roots *x509.CertPool
	dir   string
	pid   int
}

// open starts the named nodes, and nginx before them in that order.
func open(t *testing.T, names ...string) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes")
	}
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Fatal("nginx is missing; run scripts/setup.sh")
	}
	s := &site{t: t, dir: t.TempDir(), roots: x509.NewCertPool()}
	if exe == "" {
		path := filepath.Join(built, "inos")
		if out, err := exec.Command("go", "build", "-o", path, "../cmd/inos").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		exe = path
	}
	port := freePort(t)
	s.url = "https://localhost:" + port
	s.mesh = &cluster.Cluster{Exe: exe, Dir: filepath.Join(s.dir, "mesh")}
	t.Cleanup(s.mesh.Stop)
	var upstreams []string
	for i, name := range names {
		socket := filepath.Join(s.dir, name+".sock")
		flags := []string{"--ui-listen", "unix:" + socket, "--origins", s.url}
		if i == 0 {
			flags = append(flags, "--tabs", "on", "--announce", "/dns4/localhost/tcp/"+port+"/tls/ws")
		}
		if _, err := s.mesh.Enter(t.Context(), name, flags...); err != nil {
			t.Fatal(err)
		}
		line := "server unix:" + socket + " max_fails=0"
		if i > 0 {
			line += " backup"
		}
		upstreams = append(upstreams, line+";")
	}
	if err := s.mesh.Together(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.start(port, upstreams)
	return s
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// start fits the site file to this machine: a port, a certificate, folders and
// the nodes. Everything else is tested as it is deployed.
func (s *site) start(port string, upstreams []string) {
	s.t.Helper()
	raw, err := os.ReadFile("nginx/inos.conf")
	if err != nil {
		s.t.Fatal(err)
	}
	cert, key := s.certificate()
	st, err := s.mesh.Nodes[0].Client.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	nodePort := strings.Split(st.Addrs[0], "/")[4] // /ip4/127.0.0.1/tcp/PORT/...
	conf := string(raw)
	for old, now := range map[string]string{
		"listen 443 ssl http2;":              "listen 127.0.0.1:" + port + " ssl http2;",
		"server_name inos.example;":          "server_name localhost;",
		"/etc/inos/tls/cert.pem":             cert,
		"/etc/inos/tls/key.pem":              key,
		"/var/cache/nginx/inos":              filepath.Join(s.dir, "cache"),
		"server 127.0.0.1:4410;":             "server 127.0.0.1:" + nodePort + ";",
		"server 127.0.0.1:4270 max_fails=0;": strings.Join(upstreams, "\n    "),
	} {
		if !strings.Contains(conf, old) {
			s.t.Fatalf("the site file has no %q", old)
		}
		conf = strings.ReplaceAll(conf, old, now)
	}
	body := filepath.Join(s.dir, "body")
	main := "daemon off;\npid " + filepath.Join(s.dir, "nginx.pid") + ";\nerror_log stderr warn;\nworker_processes 1;\n"
	if os.Geteuid() == 0 {
		main = "user root;\n" + main // the nodes' sockets admit their own user
	}
	for _, mod := range []string{"ngx_http_brotli_filter_module.so", "ngx_http_brotli_static_module.so"} {
		main += "load_module " + filepath.Join("/usr/lib/nginx/modules", mod) + ";\n"
	}
	main += "events { worker_connections 512; }\nhttp {\naccess_log off;\nclient_body_temp_path " + body + ";\nproxy_temp_path " +
		filepath.Join(s.dir, "proxy") + ";\n" + conf + "\n}\n"
	file := filepath.Join(s.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(main), 0o600); err != nil {
		s.t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command("nginx", "-c", file, "-p", s.dir)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		if s.t.Failed() {
			s.t.Logf("nginx: %s", log.String())
		}
	})
	s.wait("nginx to answer", func() bool {
		select {
		case <-exited:
			s.t.Fatalf("nginx stopped: %s", log.String())
		default:
		}
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (s *site) wait(what string, cond func() bool) {
	s.t.Helper()
	if err := cluster.Wait(s.t.Context(), 60*time.Second, what, cond); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) certificate() (cert, key string) {
	s.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, key = filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	s.roots.AppendCertsFromPEM(certPEM)
	for name, b := range map[string][]byte{cert: certPEM, key: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	return cert, key
}

// browser is one signed-in browser, as far as HTTP goes.
type browser struct {
	*site
	http   *http.Client
	cookie *http.Cookie
	key    string
}

func (s *site) browser() *browser {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, ForceAttemptHTTP2: true, DisableCompression: true}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &browser{site: s, http: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) send(method, path string, body io.Reader, edit ...func(*http.Request)) (*http.Response, error) {
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if method != http.MethodGet {
		req.Header.Set("Origin", b.url)
	}
	if b.cookie != nil {
		req.AddCookie(b.cookie)
		req.Header.Set("Inos-Page", b.key)
	}
	for _, f := range edit {
		f(req)
	}
	return b.http.Do(req)
}

// reply is an answer without its body.
type reply struct {
	Proto      string
	ProtoMajor int
	Header     http.Header
	cookies    []*http.Cookie
}

// do expects an answer with the status and returns it whole.
func (b *browser) do(status int, method, path string, body io.Reader, edit ...func(*http.Request)) (reply, []byte) {
	b.t.Helper()
	res, err := b.send(method, path, body, edit...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if res.StatusCode != status {
		b.t.Fatalf("%s %s: %s, want %d: %s", method, path, res.Status, status, raw)
	}
	return reply{res.Proto, res.ProtoMajor, res.Header, res.Cookies()}, raw
}

func takes(coding string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Accept-Encoding", coding) }
}

func asJSON(r *http.Request) { r.Header.Set("Content-Type", "application/json") }

// signIn uses a link of the node.
func (b *browser) signIn(n *cluster.Node) {
	b.t.Helper()
	link, err := n.Client.SignIn(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	at, token, ok := strings.Cut(link.URL, "#sign-in=")
	if !ok || at != b.url+"/" {
		b.t.Fatalf("the link %q does not lead to the proxy at %s", link.URL, b.url)
	}
	b.cookie = nil
	res, raw := b.do(http.StatusOK, http.MethodPost, "/page/session", strings.NewReader(`{"token":"`+token+`"}`), asJSON)
	var got struct{ Key string }
	if err := json.Unmarshal(raw, &got); err != nil || len(res.cookies) != 1 {
		b.t.Fatalf("%v: %s", err, raw)
	}
	b.cookie, b.key = res.cookies[0], got.Key
	if !b.cookie.Secure || !b.cookie.HttpOnly || b.cookie.SameSite != http.SameSiteStrictMode {
		b.t.Errorf("the cookie is %v", b.cookie)
	}
}

func unpack(t *testing.T, raw []byte) []byte {
	t.Helper()
	plain, err := io.ReadAll(brotli.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatalf("not Brotli: %v", err)
	}
	return plain
}

func TestPageThroughNginx(t *testing.T) {
	s := open(t, "anna")
	b := s.browser()

	res, raw := b.do(http.StatusOK, http.MethodGet, "/", nil, takes("br"))
	if res.ProtoMajor != 2 {
		t.Errorf("spoke %s, want HTTP/2", res.Proto)
	}
	if res.Header.Get("Content-Encoding") != "br" {
		t.Errorf("the page came as %q", res.Header.Get("Content-Encoding"))
	}
	for name, want := range map[string]string{
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp", "X-Content-Type-Options": "nosniff",
		"Strict-Transport-Security": "max-age=31536000", "Content-Security-Policy": "default-src 'none'",
	} {
		if got := res.Header.Values(name); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	page := string(unpack(t, raw))
	_, after, ok := strings.Cut(page, `src="/assets/`)
	name, _, ok2 := strings.Cut(after, `"`)
	if !ok || !ok2 {
		t.Fatalf("the page names no script: %s", page)
	}

	// Named by content: kept by nginx and by browsers, in each coding.
	var script []byte
	for i, want := range []string{"MISS", "HIT"} {
		res, raw := b.do(http.StatusOK, http.MethodGet, "/assets/"+name, nil, takes("br"))
		if res.Header.Get("X-Cache") != want || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || res.Header.Get("Content-Encoding") != "br" {
			t.Errorf("request %d: %v", i, res.Header)
		}
		if script = unpack(t, raw); len(script) < len(raw) {
			t.Error("the script does not unpack")
		}
	}
	res, raw = b.do(http.StatusOK, http.MethodGet, "/assets/"+name, nil, takes("identity"))
	if res.Header.Get("Content-Encoding") != "" || !bytes.Equal(raw, script) {
		t.Errorf("a browser without Brotli got %q and %d bytes, want %d", res.Header.Get("Content-Encoding"), len(raw), len(script))
	}

	// Nothing but the page without a session; answers of the API are compressed here.
	b.do(http.StatusUnauthorized, http.MethodGet, "/v1/status", nil)
	b.signIn(s.mesh.Nodes[0])
	res, raw = b.do(http.StatusOK, http.MethodGet, "/openapi.json", nil, takes("br"))
	if res.Header.Get("Content-Encoding") != "br" || !json.Valid(unpack(t, raw)) {
		t.Errorf("the API's answer came as %q", res.Header.Get("Content-Encoding"))
	}
	b.do(http.StatusForbidden, http.MethodPost, "/v1/invites", strings.NewReader("{}"), asJSON, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") })
	b.do(http.StatusForbidden, http.MethodGet, "/v1/status", nil, func(r *http.Request) { r.Host = "evil.example" })
}

// Events arrive when they happen, not when a buffer is full.
func TestEventsThroughNginx(t *testing.T) {
	s := open(t, "anna")
	b := s.browser()
	b.signIn(s.mesh.Nodes[0])
	res, err := b.send(http.MethodGet, "/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	events := bufio.NewScanner(res.Body)
	lines := make(chan string, 64)
	go func() {
		for events.Scan() {
			select {
			case lines <- events.Text():
			default:
			}
		}
		close(lines)
	}()
	if _, err := s.mesh.Nodes[0].Client.Put(t.Context(), api.PutRequest{Name: "note.txt", Size: 5}, strings.NewReader("hello"), nil); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatal("the stream ended")
			}
			if strings.Contains(line, "put") {
				return
			}
		case <-deadline:
			t.Fatal("the put's event did not arrive")
		}
	}
}

func TestSignInsAreRateLimited(t *testing.T) {
	s := open(t, "anna")
	b := s.browser()
	limited := 0
	for range 30 {
		res, err := b.send(http.MethodPost, "/page/session", strings.NewReader(`{"token":"guess"}`), asJSON)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("thirty guesses in a row were all let through")
	}
}

// uploadMiB is the size of the streamed upload; INOS_E2E_MIB=1024 takes the
// whole GiB.
func uploadMiB() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("INOS_E2E_MIB"), 10, 32); err == nil {
		return n
	}
	return 192
}

// An upload streams through nginx, which stores none of it; restarting the nodes
// one after the other loses nothing, and the page answers all the time.
func TestUploadAndRollingRestart(t *testing.T) {
	s := open(t, "anna", "bela", "cleo")
	b := s.browser()
	b.signIn(s.mesh.Nodes[0])
	size := uploadMiB() << 20
	link, sum := b.upload(size)
	if found, _ := filepath.Glob(filepath.Join(s.dir, "body", "*")); len(found) > 0 {
		t.Errorf("nginx kept parts of the upload: %v", found)
	}

	down := 0
	stop := make(chan struct{})
	watched := make(chan struct{})
	visitor := s.browser()
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			res, err := visitor.send(http.MethodGet, "/", nil)
			if err == nil {
				_ = res.Body.Close()
			}
			if err != nil || res.StatusCode != http.StatusOK {
				down++
			}
		}
	}()
	for _, n := range s.mesh.Nodes {
		if took := n.Stop(); took > 6*time.Second {
			t.Errorf("%s took %v to stop", n.Name, took)
		}
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.mesh.Together(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-watched
	if down > 0 {
		t.Errorf("the page did not answer %d times", down)
	}

	// Sessions outlive a restart. nginx returns to the first node after its pause.
	s.wait("the first node to serve again", func() bool {
		res, err := b.send(http.MethodGet, "/page/session", nil)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	h := blake3.New()
	res, err := b.send(http.MethodGet, "/v1/objects/"+link.Root.String()+"/content", nil, func(r *http.Request) {
		_, key, _ := strings.Cut(link.String(), "#")
		r.Header.Set("Inos-Key", key)
	})
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	defer res.Body.Close()
	n, err := io.Copy(h, res.Body)
	if err != nil || uint64(n) != size || !bytes.Equal(h.Sum(nil), sum) {
		t.Errorf("%d bytes came back, want %d, same %v: %v", n, size, bytes.Equal(h.Sum(nil), sum), err)
	}
}

// upload sends random bytes in parts, as the page does.
func (b *browser) upload(size uint64) (api.Link, []byte) {
	b.t.Helper()
	id := api.RandomID()
	req, err := json.Marshal(api.UploadRequest{ID: id, Name: "big.bin", Length: size, Size: size, Files: 1})
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(http.StatusOK, http.MethodPost, "/v1/uploads", bytes.NewReader(req), asJSON)
	h, src := blake3.New(), mrand.New(mrand.NewSource(int64(size)))
	const part = 8 << 20
	for at := uint64(0); at < size; at += part {
		body := make([]byte, min(part, size-at))
		_, _ = src.Read(body)
		_, _ = h.Write(body)
		b.do(http.StatusOK, http.MethodPut, "/v1/uploads/"+id.String()+"?"+url.Values{"offset": {fmt.Sprint(at)}}.Encode(), bytes.NewReader(body))
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer cancel()
	res, err := b.send(http.MethodGet, "/v1/uploads/"+id.String(), nil, func(r *http.Request) { *r = *r.WithContext(ctx) })
	if err != nil || res.StatusCode != http.StatusOK {
		b.t.Fatal(res, err)
	}
	defer res.Body.Close()
	for dec := json.NewDecoder(res.Body); ; {
		var u api.PutUpdate
		if err := dec.Decode(&u); err != nil {
			b.t.Fatal(err)
		}
		if u.Error != nil {
			b.t.Fatal(u.Error)
		}
		if u.Object != nil {
			return u.Object.Link, h.Sum(nil)
		}
	}
}
