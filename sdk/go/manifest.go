package inos

import (
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// served is the module of this program.
var served *Module

// Serve makes m the module of this program. Call it from init.
func Serve(m *Module) { served = m }

// manifest is the JSON that `inos module build` reads.
type manifest struct {
	Name          string         `json:"name"`
	Version       string         `json:"version"`
	Author        string         `json:"author,omitempty"`
	Doc           string         `json:"doc,omitempty"`
	ABI           int32          `json:"abi,omitempty"` // absent: 1
	Deterministic bool           `json:"deterministic"`
	Limits        Limits         `json:"limits"`
	Syscalls      []string       `json:"syscalls,omitempty"`
	Inbox         string         `json:"inbox,omitempty"`
	Units         []manifestUnit `json:"units"`
}

type manifestUnit struct {
	Name    string           `json:"name"`
	Doc     string           `json:"doc,omitempty"`
	Methods []manifestMethod `json:"methods"`
}

type manifestMethod struct {
	Name    string   `json:"name"`
	Doc     string   `json:"doc,omitempty"`
	Params  *schema  `json:"params,omitempty"`
	Reads   []string `json:"reads,omitempty"`
	Writes  string   `json:"writes,omitempty"`
	NoInput bool     `json:"no_input,omitempty"`
}

// schema is the part of JSON Schema that nodes enforce and structs need.
type schema struct {
	Type        string             `json:"type"`
	Description string             `json:"description,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  *bool              `json:"additionalProperties,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Default     json.RawMessage    `json:"default,omitempty"`
	Minimum     json.Number        `json:"minimum,omitempty"`
	Maximum     json.Number        `json:"maximum,omitempty"`
	MinLength   json.Number        `json:"minLength,omitempty"`
	MaxLength   json.Number        `json:"maxLength,omitempty"`
	MinItems    json.Number        `json:"minItems,omitempty"`
	MaxItems    json.Number        `json:"maxItems,omitempty"`
}

// WriteManifest writes what m declares as JSON, the form that `inos module build`
// reads. It fails on a parameter of a type that has no schema.
func (m *Module) WriteManifest(w io.Writer) error {
	out := manifest{Name: m.Name, Version: m.Version, Author: m.Author, Doc: m.Doc, Deterministic: !m.Nondeterministic, Limits: m.Limits, Syscalls: m.Syscalls, Inbox: m.Inbox}
	if abi := m.abi(); abi > 1 {
		out.ABI = abi
	}
	for _, u := range m.Units {
		unit := manifestUnit{Name: u.Name, Doc: u.Doc}
		for _, f := range u.Methods {
			params, err := schemaOf(f.params, u.Name+"."+f.name)
			if err != nil {
				return err
			}
			if len(params.Properties) == 0 {
				params = nil
			}
			unit.Methods = append(unit.Methods, manifestMethod{f.name, f.doc, params, f.reads, f.writes, f.withoutBody})
		}
		out.Units = append(out.Units, unit)
	}
	return json.NewEncoder(w).Encode(out)
}

func schemaOf(t reflect.Type, place string) (*schema, error) {
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), place)
	case reflect.Bool:
		return &schema{Type: "boolean"}, nil
	case reflect.String:
		return &schema{Type: "string"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &schema{Type: "integer"}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &schema{Type: "integer", Minimum: "0"}, nil
	case reflect.Float32, reflect.Float64:
		return &schema{Type: "number"}, nil
	case reflect.Slice:
		items, err := schemaOf(t.Elem(), place)
		return &schema{Type: "array", Items: items}, err
	case reflect.Struct:
		return objectSchema(t, place)
	}
	return nil, Errorf(Unsupported, place+": parameters are bool, numbers, strings, slices and structs, not "+t.String())
}

func objectSchema(t reflect.Type, place string) (*schema, error) {
	closed := false
	s := &schema{Type: "object", Additional: &closed, Properties: map[string]*schema{}}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		p, err := schemaOf(f.Type, place+"."+name)
		if err != nil {
			return nil, err
		}
		if err := p.tags(f.Tag, place+"."+name); err != nil {
			return nil, err
		}
		s.Properties[name] = p
		if p.Default == nil && f.Type.Kind() != reflect.Pointer && !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			s.Required = append(s.Required, name)
		}
	}
	return s, nil
}

// tags takes over what a field's tags say.
func (s *schema) tags(tag reflect.StructTag, place string) error {
	s.Description = tag.Get("doc")
	if e := tag.Get("enum"); e != "" {
		s.Enum = strings.Split(e, ",")
	}
	if d, ok := tag.Lookup("default"); ok {
		s.Default = json.RawMessage(d)
		if s.Type == "string" {
			s.Default = json.RawMessage(strconv.Quote(d))
		}
		if !json.Valid(s.Default) {
			return Errorf(Invalid, place+": the default is not JSON")
		}
	}
	lower, upper := &s.Minimum, &s.Maximum
	switch s.Type {
	case "string":
		lower, upper = &s.MinLength, &s.MaxLength
	case "array":
		lower, upper = &s.MinItems, &s.MaxItems
	}
	for name, to := range map[string]*json.Number{"min": lower, "max": upper} {
		if v := tag.Get(name); v != "" {
			if _, err := strconv.ParseFloat(v, 64); err != nil {
				return Errorf(Invalid, place+": "+name+" is not a number")
			}
			*to = json.Number(v)
		}
	}
	return nil
}

// withDefaults fills in absent parameters, as a node does before a call.
func withDefaults(t reflect.Type, params []byte) ([]byte, error) {
	s, err := schemaOf(t, "")
	if err != nil {
		return nil, err
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(params, &given); err != nil {
		return nil, Errorf(Invalid, "the parameters are not a JSON object")
	}
	for name, p := range s.Properties {
		if _, ok := given[name]; !ok && p.Default != nil {
			given[name] = p.Default
		}
	}
	for name := range given {
		if s.Properties[name] == nil {
			return nil, Errorf(Invalid, "there is no parameter "+name)
		}
	}
	for _, name := range s.Required {
		if _, ok := given[name]; !ok {
			return nil, Errorf(Invalid, "the parameter "+name+" is missing")
		}
	}
	return json.Marshal(given)
}
