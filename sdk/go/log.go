package inos

// Level grades a line for the node's log.
type Level int32

// The levels.
const (
	LevelDebug   Level = iota // for the module's author
	LevelInfo                 // for whoever reads the log
	LevelWarning              // something is odd and the result stands
	LevelError                // something is broken
)
