package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/server"
)

func (b *browser) begin(req api.UploadRequest) (int, api.Upload) {
	b.t.Helper()
	raw, err := json.Marshal(req)
	if err != nil {
		b.t.Fatal(err)
	}
	code, text := b.text("POST", "/v1/uploads", strings.NewReader(string(raw)), func(r *http.Request) { r.Header.Set("Content-Type", "application/json") })
	var up api.Upload
	if err := json.Unmarshal([]byte(text), &up); err != nil {
		b.t.Fatal(code, text)
	}
	return code, up
}

func (b *browser) part(id api.ID, offset int, body io.Reader) (int, api.Upload, api.Problem) {
	b.t.Helper()
	code, text := b.text("PUT", "/v1/uploads/"+id.String()+"?offset="+strconv.Itoa(offset), body)
	var up api.Upload
	var p api.Problem
	_ = json.Unmarshal([]byte(text), &up)
	_ = json.Unmarshal([]byte(text), &p)
	return code, up, p
}

// outcome reads the lines of an upload to the last.
func (b *browser) outcome(id api.ID) api.PutUpdate {
	b.t.Helper()
	res := b.do("GET", "/v1/uploads/"+id.String(), nil)
	var last api.PutUpdate
	for lines := bufio.NewScanner(bytes.NewReader(res.body)); lines.Scan(); {
		last = api.PutUpdate{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			b.t.Fatal(err)
		}
	}
	return last
}

// broken fails in the middle, as a lost connection does.
type broken struct{ io.Reader }

func (r broken) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF {
		return n, errors.New("the network went away")
	}
	return n, err
}

func TestUploadInParts(t *testing.T) {
	fake, s := pageServer(t, server.Config{})
	b := signIn(t, s)
	data := strings.Repeat("0123456789", 200_000)
	id := api.ID{1, 2, 3}
	req := api.UploadRequest{ID: id, Name: "big.txt", Length: uint64(len(data)), Size: uint64(len(data)), Files: 1}
	code, up := b.begin(req)
	if code != 200 || up.Offset != 0 || up.Length != req.Length || up.ID != id {
		t.Fatal(code, up)
	}
	code, up, _ = b.part(id, 0, strings.NewReader(data[:700_001]))
	if code != 200 || up.Offset != 700_001 {
		t.Fatal(code, up)
	}
	for name, tc := range map[string]struct {
		offset int
		body   string
		kind   string
	}{
		"a part sent twice": {0, data[:10], "conflict"},
		"a part skipped":    {900_000, data[:10], "conflict"},
	} {
		if code, _, p := b.part(id, tc.offset, strings.NewReader(tc.body)); p.Kind != tc.kind {
			t.Error(name, code, p)
		}
	}
	// A part that is cut off counts as far as it came.
	cut, err := http.NewRequestWithContext(t.Context(), "PUT", b.base+"/v1/uploads/"+id.String()+"?offset=700001", broken{strings.NewReader(data[700_001:1_000_000])})
	if err != nil {
		t.Fatal(err)
	}
	cut.AddCookie(b.cookie)
	cut.Header.Set("Inos-Page", b.key)
	cut.Header.Set("Origin", b.base)
	if res, err := http.DefaultTransport.RoundTrip(cut); err == nil {
		_ = res.Body.Close()
		t.Fatal("the broken part got through", res.Status)
	}
	// Whoever begins again resumes. The cut part may still be on its way out.
	for {
		code, up = b.begin(req)
		if code != 200 || up.Offset < 700_001 || up.Offset > 1_000_000 {
			t.Fatal(code, up)
		}
		if code, _, p := b.part(id, int(up.Offset), strings.NewReader(data[up.Offset:])); code == 200 {
			break
		} else if p.Kind != "conflict" {
			t.Fatal(code, p)
		}
	}
	last := b.outcome(id)
	if last.Object == nil || last.Object.Bytes != uint64(len(data)) || last.Object.Name != "big.txt" {
		t.Fatalf("%+v %+v", last.Object, last.Error)
	}
	var got strings.Builder
	err = fake.Get(t.Context(), api.GetRequest{Link: last.Object.Link}, func(api.FileInfo) (io.Writer, error) { return &got, nil })
	if err != nil || got.String() != data {
		t.Fatal(got.Len(), err)
	}
}

func TestUploadRefusals(t *testing.T) {
	fake, s := pageServer(t, server.Config{})
	b := signIn(t, s)
	if code, _ := b.begin(api.UploadRequest{Name: "no id", Length: 1}); code != 400 {
		t.Error("no id", code)
	}
	if code, _ := b.begin(api.UploadRequest{ID: api.ID{9}, Name: strings.Repeat("x", 256)}); code != 400 {
		t.Error("long name", code)
	}
	if code, _, _ := b.part(api.ID{7}, 0, strings.NewReader("x")); code != 404 {
		t.Error("unknown", code)
	}
	id := api.ID{1}
	b.begin(api.UploadRequest{ID: id, Name: "a", Length: 3})
	if code, _ := b.begin(api.UploadRequest{ID: id, Name: "b", Length: 3}); code != 409 {
		t.Error("another with the same id", code)
	}
	if code, _, p := b.part(id, 0, strings.NewReader("abcd")); code != 400 || !strings.Contains(p.Detail, "length") {
		t.Error("too long", code, p)
	}
	// A put that fails says why, to the part and to the watcher.
	fake.Fail("Put", api.Errorf("test", api.NoSpace, "the disk is full"))
	full := api.ID{2}
	b.begin(api.UploadRequest{ID: full, Name: "f", Length: 10})
	if last := b.outcome(full); last.Error == nil || last.Error.Kind != "no-space" {
		t.Errorf("%+v", last)
	}
	fake.Fail("Put", nil)
	gone := api.ID{3}
	b.begin(api.UploadRequest{ID: gone, Name: "g", Length: 10})
	if code, _ := b.text("DELETE", "/v1/uploads/"+gone.String(), nil); code != 204 {
		t.Error("abandon", code)
	}
	if code, _, _ := b.part(gone, 0, strings.NewReader("x")); code != 404 {
		t.Error("abandoned", code)
	}
	for i := range 70 {
		code, _ := b.begin(api.UploadRequest{ID: api.ID{10, byte(i)}, Name: "n", Length: 10})
		if i > 64 && code != 429 {
			t.Fatal("uploads are not bounded", i, code)
		}
	}
	empty := api.ID{4}
	b.text("DELETE", "/v1/uploads/"+api.ID{10, 1}.String(), nil)
	if code, _ := b.begin(api.UploadRequest{ID: empty, Name: "empty"}); code != 200 {
		t.Error("empty", code)
	}
	if last := b.outcome(empty); last.Object == nil || last.Object.Bytes != 0 {
		t.Errorf("%+v", last)
	}
}
