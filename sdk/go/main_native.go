//go:build !wasip1

package inos

import "os"

// Main is the body of a module's main. On the machine that builds it prints the
// manifest; in a module it does nothing.
func Main() {
	if served == nil {
		_, _ = os.Stderr.WriteString("no module: call inos.Serve from init\n")
		os.Exit(1)
	}
	if err := served.WriteManifest(os.Stdout); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

// submit is what a system call is outside WebAssembly.
func submit(_, _ []byte) (completion, error) {
	return completion{}, &SyscallError{"unsupported", "there is no node to ask outside WebAssembly"}
}

func memory(_, _ uint32) []byte { return nil }

// place is where no node looks: the same for all bytes.
func place([]byte) uint32 { return 1 << 16 }

// Log writes a line to the node's log; here, to standard error.
func Log(level Level, line string) {
	_, _ = os.Stderr.WriteString([...]string{"debug: ", "info: ", "warning: ", "error: "}[min(max(level, 0), 3)] + line + "\n")
}
