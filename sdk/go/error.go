package inos

// Kind says who has to act on a failure. A node knows these five; anything else
// that a module does wrong is the module's own defect.
type Kind string

// The kinds.
const (
	Invalid     Kind = "invalid"     // the input or a parameter is wrong
	Corrupt     Kind = "corrupt"     // the input is damaged
	Unsupported Kind = "unsupported" // a format or option that this module does not do
	NotFound    Kind = "not-found"   // something the parameters name is not there
	Exhausted   Kind = "exhausted"   // a limit was reached
)

// Error is why a call failed: a kind for programs, a message for people that says
// what to do. A node keeps the first 1024 bytes of the message.
type Error struct {
	Kind    Kind
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Errorf makes an error of a kind. An error that a method returns and that is not
// one of these counts as Invalid.
func Errorf(kind Kind, message string) error { return &Error{kind, message} }
