package main

import "fmt"

// validate refuses a layout in which anything overlaps, is misaligned or does
// not fit its container.
func (a arena) validate() error {
	if a.line == 0 || a.page == 0 || a.window%a.page != 0 || a.page%a.line != 0 {
		return fmt.Errorf("line %d, page %d and window %d do not divide one another", a.line, a.page, a.window)
	}
	records := make(map[string]record)
	for _, r := range a.records {
		if _, twice := records[r.name]; twice || r.name == "" {
			return fmt.Errorf("record %q is declared twice or has no name", r.name)
		}
		if err := r.validate(); err != nil {
			return fmt.Errorf("record %s: %w", r.name, err)
		}
		records[r.name] = r
	}
	if err := a.validateRegions(records); err != nil {
		return err
	}
	return a.validateCells()
}

func (r record) validate() error {
	if !powerOfTwo(r.align) || r.size == 0 || r.size%r.align != 0 {
		return fmt.Errorf("size %d is not a multiple of alignment %d", r.size, r.align)
	}
	end := uint32(0)
	for _, f := range r.fields {
		align := sizeOf(f.kind)
		if align == 0 {
			align = 1
		}
		switch {
		case f.size == 0:
			return fmt.Errorf("field %s has no size", f.name)
		case f.at%align != 0:
			return fmt.Errorf("field %s at %d is not aligned to %d", f.name, f.at, align)
		case f.at < end:
			return fmt.Errorf("field %s at %d overlaps the one before, which ends at %d", f.name, f.at, end)
		case f.at+f.size > r.size:
			return fmt.Errorf("field %s ends at %d, beyond the record's %d bytes", f.name, f.at+f.size, r.size)
		}
		end = f.at + f.size
	}
	return nil
}

func (a arena) validateRegions(records map[string]record) error {
	end := uint64(0)
	for i, g := range a.regions {
		last := i == len(a.regions)-1
		switch {
		case !powerOfTwo(g.align) || g.align < a.page || g.offset%uint64(g.align) != 0:
			return fmt.Errorf("region %s at %#x is not aligned to %d", g.name, g.offset, g.align)
		case g.offset < end:
			return fmt.Errorf("region %s at %#x overlaps the one before, which ends at %#x", g.name, g.offset, end)
		case (g.count == 0) != last || g.stride == 0:
			return fmt.Errorf("region %s: only the last has no count", g.name)
		}
		if rec, ok := records[g.record]; ok && (rec.size > g.stride || g.stride%rec.align != 0) {
			return fmt.Errorf("region %s: a %s of %d bytes does not fit the stride %d", g.name, g.record, rec.size, g.stride)
		} else if !ok && g.record != "" {
			return fmt.Errorf("region %s: no record is named %q", g.name, g.record)
		}
		end = g.offset + g.bytes()
	}
	for i, t := range a.tiers {
		if t.size < 2*end || t.size%uint64(a.window) != 0 || i > 0 && t.size <= a.tiers[i-1].size {
			return fmt.Errorf("tier %s: %d bytes leave less than half for the heap, are not whole windows or do not ascend", t.name, t.size)
		}
	}
	return nil
}

func (a arena) validateCells() error {
	for i, c := range a.cells {
		if c.index != uint32(i) || c.index >= a.free {
			return fmt.Errorf("epoch cell %s: index %d is not %d or not below the first free one", c.name, c.index, i)
		}
	}
	seen := make(map[string]bool)
	for _, c := range a.constants {
		if c.name == "" || seen[c.name] {
			return fmt.Errorf("number %q is declared twice or has no name", c.name)
		}
		seen[c.name] = true
	}
	for _, g := range a.regions {
		if g.name == "epochs" && a.free >= g.count {
			return fmt.Errorf("no epoch cell is left to hand out")
		}
	}
	return nil
}

func powerOfTwo(n uint32) bool { return n != 0 && n&(n-1) == 0 }
