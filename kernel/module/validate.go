package module

import (
	"strconv"
	"strings"

	"inos/kernel/api"
)

func bad(msg string) error { return api.Errorf("module.manifest", api.Invalid, msg) }

// validate checks what the encoding does not: names, version, schemas.
func (d *Description) validate() error {
	m := &d.Manifest
	switch {
	case !validName(m.Name):
		return bad("the module's name is not 1 to 32 of a-z, 0-9 and -")
	case !validVersion(m.Version):
		return bad("the module's version is not a semantic version such as 1.4.0")
	case m.ABI < 1 || m.ABI > ABI:
		return bad("the module speaks ABI " + strconv.Itoa(int(m.ABI)) + "; this node speaks ABI 1 and 2. Rebuild it with a matching SDK")
	case m.Resident && (m.ABI < 2 || len(m.Syscalls) > 0 || m.Inbox != ""):
		return bad("a resident speaks ABI 2 and makes no system calls; it has the arena")
	case m.ABI == 1 && (len(m.Syscalls) > 0 || m.Inbox != ""):
		return api.Errorf("module.manifest", api.Unsupported, "the module asks for system calls or messages, which ABI 1 does not have; build it for ABI 2")
	case len(m.Units) == 0:
		return bad("the module has no units")
	}
	for _, u := range m.Units {
		if !validName(u.Name) {
			return bad("a unit's name is not 1 to 32 of a-z, 0-9 and -")
		}
		if len(u.Methods) == 0 {
			return bad("the unit " + u.Name + " has no methods")
		}
		for _, f := range u.Methods {
			if err := d.addMethod(u.Name, f); err != nil {
				return err
			}
		}
	}
	return d.validateSyscalls()
}

func (d *Description) addMethod(unit string, f Method) error {
	if !validName(f.Name) {
		return bad("a method's name is not 1 to 32 of a-z, 0-9 and -")
	}
	full := unit + "." + f.Name
	if d.methods[full] != nil {
		return bad("the method " + full + " is declared twice")
	}
	for _, t := range append([]string{OutputType(f)}, f.InputMediaTypes...) {
		if !validMedia(t) {
			return bad("a media type of " + full + " is not of the form type/subtype")
		}
	}
	s, err := parseSchema(f.ParamsSchema)
	if err != nil {
		return api.E("module.manifest "+full, api.Invalid, err)
	}
	d.methods[full] = &method{Method: f, schema: s}
	return nil
}

// OutputType is the media type that a method's output has unless the guest
// names another.
func OutputType(f Method) string {
	if f.OutputMediaType == "" {
		return "application/octet-stream"
	}
	return f.OutputMediaType
}

func validName(s string) bool {
	if len(s) == 0 || len(s) > 32 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// validVersion accepts MAJOR.MINOR.PATCH with optional -pre and +build.
//
// Source: Semantic Versioning 2.0.0.
func validVersion(s string) bool {
	core, build, hasBuild := strings.Cut(s, "+")
	core, pre, hasPre := strings.Cut(core, "-")
	if hasBuild && !identifiers(build, false) || hasPre && !identifiers(pre, true) {
		return false
	}
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
		return false
	}
	for _, p := range parts {
		if !digits(p) || len(p) > 1 && p[0] == '0' {
			return false
		}
	}
	return true
}

func identifiers(s string, pre bool) bool {
	for _, id := range strings.Split(s, ".") {
		if id == "" || pre && digits(id) && len(id) > 1 && id[0] == '0' {
			return false
		}
		for _, c := range []byte(id) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// validMedia accepts type/subtype without parameters; * may stand for either.
//
// Source: RFC 6838, section 4.2.
func validMedia(s string) bool {
	t, sub, ok := strings.Cut(s, "/")
	if !ok || t == "" || sub == "" {
		return false
	}
	for _, c := range []byte(t + sub) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?=", c) >= 0 {
			return false
		}
	}
	return true
}
