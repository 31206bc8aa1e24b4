package api

// Priority is a job's class in the queues of payers and workers. The zero value
// is Normal. The numbers travel on the wire.
type Priority uint8

// The priorities.
const (
	Normal Priority = iota
	Low             // waits for the others, never for ever; costs the same
	High            // goes before the others; costs twice as much
	priorityCount
)

var priorityNames = [priorityCount]string{"normal", "low", "high"}

// Classes is how many classes of priority there are.
const Classes = int(priorityCount)

// String returns the stable lower-case name.
func (p Priority) String() string {
	if p < priorityCount {
		return priorityNames[p]
	}
	return "unknown"
}

// Valid reports whether p is one of the priorities.
func (p Priority) Valid() bool { return p < priorityCount }

// Class is p's place in the order of service: 0 for High, 1 for Normal, 2 for Low.
func (p Priority) Class() int {
	switch p {
	case High:
		return 0
	case Low:
		return 2
	}
	return 1
}

// Price is what a worker that asks base asks for a job of this priority. It
// returns Invalid on overflow.
func (p Priority) Price(base Credits) (Credits, error) {
	if p == High {
		return base.MulDiv(2, 1)
	}
	return base, nil
}

// MarshalText returns String.
func (p Priority) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText parses String's form; empty means Normal.
func (p *Priority) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*p = Normal
		return nil
	}
	for i, n := range priorityNames {
		if n == string(b) {
			*p = Priority(i)
			return nil
		}
	}
	return Errorf("api.priority", Invalid, "a priority is low, normal or high")
}
