package module

import (
	"bytes"
	"encoding/json"
	"sort"
	"strings"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Prepare checks a call against the manifest and completes it: parameters
// become canonical with defaults filled in, limits lose their zeros. Errors are
// Invalid, or NotFound for an unknown unit or method, and say what to change.
func (d *Description) Prepare(c *Call) error {
	const op = "module.prepare"
	f := d.methods[c.Unit+"."+c.Method]
	if f == nil {
		return api.Errorf(op, api.NotFound, d.Manifest.Name+" has no method "+printable(c.Unit+"."+c.Method)+"; it has "+d.list())
	}
	switch {
	case c.Input != nil && c.Loan != nil:
		return api.Errorf(op, api.Invalid, "a call has an input or a loan, not both")
	case c.Input == nil && c.Loan == nil && f.InputRequired:
		return api.Errorf(op, api.Invalid, c.Unit+"."+c.Method+" needs an input")
	case len(c.Input) > api.MaxInput:
		return api.Errorf(op, api.Exhausted, "the input is larger than 256 MiB, the most a call takes")
	case len(c.Params) > api.MaxParams:
		return api.Errorf(op, api.Invalid, "the parameters are longer than 65,536 bytes")
	case len(c.MediaType) > wire.MaxModuleMedia || len(c.Name) > wire.MaxModuleMedia:
		return api.Errorf(op, api.Invalid, "the input's name or media type is longer than 128 bytes")
	}
	if c.Loan != nil {
		if err := c.Loan.Check(); err != nil {
			return err
		}
	}
	params, err := f.apply(c.Params)
	if err != nil {
		return api.E(op, api.Invalid, err)
	}
	if len(params) > api.MaxParams {
		return api.Errorf(op, api.Invalid, "the parameters with their defaults are longer than 65,536 bytes")
	}
	c.Params = params
	c.Limits = d.LimitsOf(c.Limits)
	return nil
}

// apply makes parameters canonical. The result is the caller's to keep and not
// to change.
func (f *method) apply(params json.RawMessage) (json.RawMessage, error) {
	if a := f.last.Load(); a != nil && (bytes.Equal(a.given, params) || bytes.Equal(a.canonical, params)) {
		return a.canonical, nil
	}
	out, err := f.schema.apply(params)
	if err == nil && len(params)+len(out) <= maxApplied {
		f.last.Store(&applied{bytes.Clone(params), out})
	}
	return out, err
}

// Method returns a method's declaration.
func (d *Description) Method(unit, name string) (Method, bool) {
	f := d.methods[unit+"."+name]
	if f == nil {
		return Method{}, false
	}
	return f.Method, true
}

// LimitsOf completes the limits of a call with the manifest's and the defaults.
func (d *Description) LimitsOf(l api.Limits) api.Limits {
	own := d.Manifest.Limits
	if l.Gas == 0 {
		l.Gas = own.Gas
	}
	if l.MemoryBytes == 0 {
		l.MemoryBytes = own.MemoryBytes
	}
	if l.OutputBytes == 0 {
		l.OutputBytes = own.OutputBytes
	}
	if l.WallMS == 0 {
		l.WallMS = own.WallMS
	}
	return l.WithDefaults()
}

// list names the methods, for error messages; at most ten.
func (d *Description) list() string {
	names := make([]string, 0, len(d.methods))
	for n := range d.methods {
		names = append(names, n)
	}
	sort.Strings(names)
	if len(names) > 10 {
		names = append(names[:10], "...")
	}
	return strings.Join(names, ", ")
}
