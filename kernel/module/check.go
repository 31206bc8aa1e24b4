package module

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"
)

// check reports the first way in which v breaks the schema, in words that name
// the parameter. path is "" for the parameters object itself.
func (s *schema) check(path string, v any) error {
	if !s.typed(v) {
		return bad(title(path) + " must be " + article(s.types))
	}
	if s.enum != nil && !s.among(v) {
		return bad(title(path) + " must be one of " + choices(s.enum))
	}
	if f, ok := number(v); ok {
		return s.checkNumber(path, f)
	}
	switch v := v.(type) {
	case string:
		return s.checkString(path, v)
	case []any:
		return s.checkArray(path, v)
	case map[string]any:
		return s.checkObject(path, v)
	}
	return nil
}

func (s *schema) typed(v any) bool {
	if len(s.types) == 0 {
		return true
	}
	actual := ""
	switch v.(type) {
	case nil:
		actual = "null"
	case bool:
		actual = "boolean"
	case string:
		actual = "string"
	case int64:
		actual = "integer"
	case float64:
		actual = "number"
	case []any:
		actual = "array"
	case map[string]any:
		actual = "object"
	}
	for _, t := range s.types {
		if t == actual || t == "number" && actual == "integer" {
			return true
		}
	}
	return false
}

func (s *schema) among(v any) bool {
	for _, e := range s.enum {
		if equal(e, v) {
			return true
		}
	}
	return false
}

func (s *schema) checkNumber(path string, f float64) error {
	switch {
	case s.min != nil && f < *s.min:
		return bad(fmt.Sprintf("%s must be at least %v", title(path), *s.min))
	case s.max != nil && f > *s.max:
		return bad(fmt.Sprintf("%s must be at most %v", title(path), *s.max))
	case s.exMin != nil && f <= *s.exMin:
		return bad(fmt.Sprintf("%s must be greater than %v", title(path), *s.exMin))
	case s.exMax != nil && f >= *s.exMax:
		return bad(fmt.Sprintf("%s must be less than %v", title(path), *s.exMax))
	}
	return nil
}

func (s *schema) checkString(path, v string) error {
	n := utf8.RuneCountInString(v)
	switch {
	case s.minLen != nil && n < *s.minLen:
		return bad(fmt.Sprintf("%s must have at least %d characters", title(path), *s.minLen))
	case s.maxLen != nil && n > *s.maxLen:
		return bad(fmt.Sprintf("%s must have at most %d characters", title(path), *s.maxLen))
	}
	return nil
}

func (s *schema) checkArray(path string, v []any) error {
	switch {
	case s.minItems != nil && len(v) < *s.minItems:
		return bad(fmt.Sprintf("%s must have at least %d entries", title(path), *s.minItems))
	case s.maxItems != nil && len(v) > *s.maxItems:
		return bad(fmt.Sprintf("%s must have at most %d entries", title(path), *s.maxItems))
	}
	if s.items == nil {
		return nil
	}
	for i, e := range v {
		if err := s.items.check(fmt.Sprintf("%s[%d]", path, i), e); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) checkObject(path string, v map[string]any) error {
	for _, name := range s.required {
		if _, ok := v[name]; !ok {
			return bad(title(join(path, name)) + " is missing")
		}
	}
	for _, name := range sorted(v) {
		p, ok := s.props[name]
		if !ok {
			if s.additional {
				continue
			}
			return bad("there is no parameter " + printable(join(path, name)) + s.known())
		}
		if err := p.check(join(path, name), v[name]); err != nil {
			return err
		}
	}
	return nil
}

func (s *schema) known() string {
	if len(s.props) == 0 {
		return "; this takes none"
	}
	return "; there are " + strings.Join(sorted(s.props), ", ")
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func title(path string) string {
	if path == "" {
		return "the parameters"
	}
	return "the parameter " + printable(path)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func article(types []string) string { return "of type " + strings.Join(types, " or ") }

func choices(enum []any) string {
	parts := make([]string, 0, len(enum))
	for _, e := range enum {
		b, err := canonical(e)
		if err == nil {
			parts = append(parts, printable(string(b)))
		}
	}
	return strings.Join(parts, ", ")
}
