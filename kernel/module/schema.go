package module

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// schema is the subset of JSON Schema that docs/abi.md lists. A keyword outside
// it is refused when the module is parsed, because a rule that is not enforced
// misleads its author.
//
// Source: JSON Schema draft 2020-12, validation vocabulary.
type schema struct {
	types      []string // empty: any
	props      map[string]*schema
	required   []string
	additional bool // unknown properties are allowed
	enum       []any
	min, max   *float64
	exMin      *float64
	exMax      *float64
	minLen     *int
	maxLen     *int
	items      *schema
	minItems   *int
	maxItems   *int
	def        any
	hasDef     bool
}

// maxSchemaDepth bounds schemas inside schemas.
const maxSchemaDepth = 16

// parseSchema reads a schema's text; "" is the schema of no parameters.
func parseSchema(text string) (*schema, error) {
	if text == "" {
		return &schema{types: []string{"object"}}, nil
	}
	v, err := parseJSON([]byte(text))
	if err != nil {
		return nil, bad("the parameters' schema is not JSON: " + err.Error())
	}
	s, err := newSchema(v, 0)
	if err != nil {
		return nil, err
	}
	if len(s.types) != 1 || s.types[0] != "object" {
		return nil, bad("the parameters' schema is not of type object")
	}
	return s, nil
}

func newSchema(v any, depth int) (*schema, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return nil, bad("a schema is not an object")
	}
	if depth == maxSchemaDepth {
		return nil, bad("the schema is nested more than 16 deep")
	}
	s := &schema{}
	for key, v := range o {
		ok, err := s.keyword(key, v, depth)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, bad("the schema's keyword " + strconv.Quote(printable(key)) + " has a value that it cannot have")
		}
	}
	if s.hasDef {
		if err := s.check("default", s.def); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// keyword takes in one keyword; false means that its value is malformed.
func (s *schema) keyword(key string, v any, depth int) (ok bool, err error) {
	switch key {
	case "title", "description", "$schema", "format", "examples":
		return true, nil
	case "type":
		return s.setTypes(v), nil
	case "properties":
		return s.setProperties(v, depth)
	case "required":
		s.required, ok = stringList(v)
	case "additionalProperties":
		s.additional, ok = v.(bool)
	case "enum":
		s.enum, ok = v.([]any)
		ok = ok && len(s.enum) > 0
	case "const":
		s.enum, ok = []any{v}, true
	case "minimum":
		s.min, ok = bound(v)
	case "maximum":
		s.max, ok = bound(v)
	case "exclusiveMinimum":
		s.exMin, ok = bound(v)
	case "exclusiveMaximum":
		s.exMax, ok = bound(v)
	case "minLength":
		s.minLen, ok = size(v)
	case "maxLength":
		s.maxLen, ok = size(v)
	case "minItems":
		s.minItems, ok = size(v)
	case "maxItems":
		s.maxItems, ok = size(v)
	case "items":
		s.items, err = newSchema(v, depth+1)
		return true, err
	case "default":
		s.def, s.hasDef, ok = v, true, true
	default:
		return false, bad("the schema's keyword " + strconv.Quote(printable(key)) + " is not in the subset that INOS checks; see docs/abi.md")
	}
	return ok, nil
}

func (s *schema) setTypes(v any) bool {
	if one, ok := v.(string); ok {
		v = []any{one}
	}
	l, ok := stringList(v)
	if !ok || len(l) == 0 {
		return false
	}
	for _, t := range l {
		switch t {
		case "object", "string", "integer", "number", "boolean", "array", "null":
		default:
			return false
		}
	}
	s.types = l
	return true
}

func (s *schema) setProperties(v any, depth int) (bool, error) {
	o, ok := v.(map[string]any)
	if !ok {
		return false, nil
	}
	s.props = make(map[string]*schema, len(o))
	for name, v := range o {
		p, err := newSchema(v, depth+1)
		if err != nil {
			return false, err
		}
		s.props[name] = p
	}
	return true, nil
}

func stringList(v any) ([]string, bool) {
	l, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, len(l))
	for i, v := range l {
		if out[i], ok = v.(string); !ok {
			return nil, false
		}
	}
	return out, true
}

func bound(v any) (*float64, bool) {
	f, ok := number(v)
	return &f, ok
}

func size(v any) (*int, bool) {
	i, ok := v.(int64)
	n := int(i)
	return &n, ok && i >= 0 && i <= math.MaxInt32
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

// apply checks parameters and returns their canonical form, defaults filled in.
func (s *schema) apply(params json.RawMessage) (json.RawMessage, error) {
	if len(bytes.TrimSpace(params)) == 0 {
		params = json.RawMessage("{}")
	}
	v, err := parseJSON(params)
	if err != nil {
		return nil, bad("the parameters are not a JSON object: " + err.Error())
	}
	s.fill(v)
	if err := s.check("", v); err != nil {
		return nil, err
	}
	return canonical(v)
}

// fill sets absent properties that have a default, at every depth.
func (s *schema) fill(v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, p := range s.props {
			if inner, ok := v[name]; ok {
				p.fill(inner)
			} else if p.hasDef {
				v[name] = p.def // shared and never changed: check and canonical only read
			}
		}
	case []any:
		if s.items != nil {
			for _, e := range v {
				s.items.fill(e)
			}
		}
	}
}

// parseJSON decodes one JSON value. Integers become int64, also when written
// like 1e3 or 2.0; other numbers float64.
func parseJSON(b []byte) (any, error) {
	if !utf8.Valid(b) {
		return nil, bad("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, bad("something follows the value")
	}
	return numbers(v)
}

func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return i, nil
		}
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return nil, bad("the number " + printable(string(v)) + " is too large")
		}
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f), nil
		}
		return f, nil
	case map[string]any:
		for k, e := range v {
			if v[k], err = numbers(e); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, e := range v {
			if v[i], err = numbers(e); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// canonical writes sorted keys without spaces and without HTML escapes.
func canonical(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, bad("the parameters cannot be written as JSON")
	}
	return json.RawMessage(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

func equal(a, b any) bool {
	x, okA := number(a)
	y, okB := number(b)
	if okA && okB {
		return x == y
	}
	return reflect.DeepEqual(a, b)
}
