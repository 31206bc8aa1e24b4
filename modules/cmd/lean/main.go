// Command lean takes out of a program that Go compiled to WebAssembly what serves
// stack traces alone: the tables of files and lines, of inlined calls and of
// printed arguments, a fourteenth of what a browser loads. Names of functions
// stay, so a trace still says where it was. It reads standard input and writes
// standard output; scripts/kernel-js.sh runs it.
//
// The tables lie in the function table (pclntab) that the runtime keeps for its
// collector too. lean zeroes the bytes that no other table shares and leaves the
// layout as it is, so what remains compresses away.
//
// Source: cmd/link/internal/ld/pcln.go and runtime/symtab.go of Go 1.26. It refuses
// a table of another version, and one that does not read as that version writes it.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lean:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	b, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	m, err := openImage(b)
	if err != nil {
		return err
	}
	n, err := m.strip()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "lean: %d bytes of tables for stack traces are gone\n", n)
	_, err = out.Write(b)
	return err
}
