package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"

	systemv1 "inos/protocols/gen/go/system/v1"
)

func good(t *testing.T) arena {
	t.Helper()
	a, err := readSchema()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTheSchemaIsValidAndCommittedFilesAreFresh(t *testing.T) {
	a := good(t)
	if err := a.validate(); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Join("..", "..", ".."))
	if err := run(true); err != nil {
		t.Fatal(err)
	}
}

// Each rule that the schema's comment names is one that validate enforces.
func TestValidateRefusesABrokenLayout(t *testing.T) {
	for name, breakIt := range map[string]func(*arena){
		"overlaps":           func(a *arena) { a.regions[3].offset = a.regions[2].offset },
		"not aligned to":     func(a *arena) { a.regions[4].offset += 64 },
		"only the last":      func(a *arena) { a.regions[5].count = 0 },
		"does not fit":       func(a *arena) { a.regions[1].stride = 32 },
		"no record is named": func(a *arena) { a.regions[1].record = "nothing" },
		"tier":               func(a *arena) { a.tiers[0].size = a.regions[len(a.regions)-1].offset + 65536 },
		"epoch cell":         func(a *arena) { a.cells[1].index = 0 },
		"no epoch cell":      func(a *arena) { a.free = 1 << 20 },
		"twice":              func(a *arena) { a.records[1].name = a.records[0].name },
		"not a multiple":     func(a *arena) { a.records[0].size++ },
		"beyond the record":  func(a *arena) { a.records[0].fields = append(a.records[0].fields, field{name: "x", at: 128, size: 1}) },
		"overlaps the one": func(a *arena) {
			a.records[0].fields[1].at = 4
		},
		"is not aligned": func(a *arena) {
			f := &a.records[0].fields[4]
			f.at, f.kind = 26, systemv1.FieldType_u32
		},
		"has no size":   func(a *arena) { a.records[0].fields[0].size = 0 },
		"do not divide": func(a *arena) { a.page = 3000 },
	} {
		a := good(t)
		breakIt(&a)
		if err := a.validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The generated Go does not compile when regions overlap, are misaligned or
// exceed the smallest tier, even if validate were wrong.
func TestTheCompilerRefusesABrokenLayout(t *testing.T) {
	for name, breakIt := range map[string]func(*arena){
		"":           func(*arena) {},
		"overlap":    func(a *arena) { a.regions[3].offset = a.regions[2].offset },
		"misaligned": func(a *arena) { a.regions[4].offset += 64 },
		"too large":  func(a *arena) { a.tiers[0].size = 1 << 20 },
		"stride":     func(a *arena) { a.regions[1].stride = 32 },
	} {
		a := good(t)
		breakIt(&a)
		src, err := renderGo(a, nil)
		if err != nil {
			t.Fatal(err)
		}
		files := token.NewFileSet()
		var parsed []*ast.File
		for _, s := range []string{string(src), "package layout\ntype Tier struct { Name string; Size uint64 }\ntype Region struct { Name string; Offset, Bytes uint64; Count uint32; Doc string }"} {
			f, err := parser.ParseFile(files, "", s, 0)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
		_, err = new(types.Config).Check("layout", files, parsed, nil)
		if (err == nil) != (name == "") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCheckFailsOnAStaleFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "file")
	render := func([]byte) ([]byte, error) { return []byte("new"), nil }
	if err := refresh(path, true, render); err == nil {
		t.Fatal("a missing file passed the check")
	}
	if err := refresh(path, false, render); err != nil {
		t.Fatal(err)
	}
	if err := refresh(path, true, render); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("edited"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := refresh(path, true, render); err == nil {
		t.Fatal("an edited file passed the check")
	}
}

func TestDocsKeepTheirProse(t *testing.T) {
	a := good(t)
	out, err := renderDocs(a, []byte("before\n"+docsBegin+"old"+docsEnd+"after\n"))
	if err != nil || !strings.HasPrefix(string(out), "before\n") || !strings.HasSuffix(string(out), "after\n") || strings.Contains(string(out), "old\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := renderDocs(a, []byte("no marks")); err == nil {
		t.Fatal("a page without marks was accepted")
	}
}
