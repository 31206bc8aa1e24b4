package main

import (
	"fmt"

	systemv1 "inos/protocols/gen/go/system/v1"
)

// The layout as plain values; each mirrors the schema struct of its name.
type (
	arena struct {
		magic                             uint64
		version, line, page, window, free uint32
		tiers                             []tier
		cells                             []cell
		records                           []record
		regions                           []region
		constants                         []number
	}
	number struct {
		name, doc string
		value     uint32
	}
	tier struct {
		name string
		size uint64
	}
	cell struct {
		name, doc string
		index     uint32
	}
	record struct {
		name, doc   string
		size, align uint32
		fields      []field
	}
	field struct {
		name, doc string
		at, size  uint32
		kind      systemv1.FieldType
	}
	region struct {
		name, record, doc    string
		offset               uint64
		count, stride, align uint32
	}
)

// bytes is the region's extent; 0 for the heap.
func (r region) bytes() uint64 { return uint64(r.count) * uint64(r.stride) }

// reader collects the first error, so that reading the schema stays readable.
type reader struct{ err error }

func (r *reader) text(s string, err error) string {
	if r.err == nil {
		r.err = err
	}
	return s
}

// each visits the elements of a list that a getter returned.
func each[L interface{ Len() int }](r *reader, get func() (L, error), visit func(L, int)) {
	list, err := get()
	if r.err == nil {
		r.err = err
	}
	if r.err != nil {
		return
	}
	for i := range list.Len() {
		visit(list, i)
	}
}

func readSchema() (arena, error) {
	r, s := new(reader), systemv1.Layout
	a := arena{
		magic: s.Magic(), version: s.Version(), line: s.Line(), page: s.Page(),
		window: s.Window(), free: s.FirstFreeCell(),
	}
	each(r, s.Tiers, func(l systemv1.Tier_List, i int) {
		t := l.At(i)
		a.tiers = append(a.tiers, tier{name: r.text(t.Name()), size: t.Size()})
	})
	each(r, s.Cells, func(l systemv1.Cell_List, i int) {
		c := l.At(i)
		a.cells = append(a.cells, cell{name: r.text(c.Name()), doc: r.text(c.Doc()), index: c.Index()})
	})
	each(r, s.Records, func(l systemv1.Record_List, i int) {
		a.records = append(a.records, readRecord(r, l.At(i)))
	})
	each(r, s.Regions, func(l systemv1.Region_List, i int) {
		g := l.At(i)
		a.regions = append(a.regions, region{
			name: r.text(g.Name()), record: r.text(g.Record()), doc: r.text(g.Doc()),
			offset: g.Offset(), count: g.Count(), stride: g.Stride(), align: g.Align(),
		})
	})
	each(r, s.Constants, func(l systemv1.Constant_List, i int) {
		c := l.At(i)
		a.constants = append(a.constants, number{name: r.text(c.Name()), doc: r.text(c.Doc()), value: c.Value()})
	})
	if r.err != nil {
		return arena{}, fmt.Errorf("read the schema's constant: %w", r.err)
	}
	return a, nil
}

func readRecord(r *reader, s systemv1.Record) record {
	out := record{name: r.text(s.Name()), doc: r.text(s.Doc()), size: s.Size(), align: s.Align()}
	each(r, s.Fields, func(l systemv1.Field_List, i int) {
		f := l.At(i)
		size := f.Size()
		if implied := sizeOf(f.Type()); implied != 0 {
			size = implied
		}
		out.fields = append(out.fields, field{
			name: r.text(f.Name()), doc: r.text(f.Doc()), at: f.At(), size: size, kind: f.Type(),
		})
	})
	return out
}

// sizeOf is the width of an integer type, 0 for bytes.
func sizeOf(t systemv1.FieldType) uint32 {
	switch t {
	case systemv1.FieldType_u8:
		return 1
	case systemv1.FieldType_u16:
		return 2
	case systemv1.FieldType_u32:
		return 4
	case systemv1.FieldType_u64, systemv1.FieldType_i64:
		return 8
	default:
		return 0
	}
}
