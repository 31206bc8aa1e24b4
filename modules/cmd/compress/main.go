// Command compress writes standard input, compressed with Brotli at its
// highest quality, to standard output. scripts/modules.sh runs it, so that
// building modules needs no other compressor than the one that opens them.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/andybalholm/brotli"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compress:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	plain, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	window := 22
	if len(plain) > 1<<window { // what repeats further apart than that
		window = 24
	}
	w := brotli.NewWriterOptions(out, brotli.WriterOptions{Quality: brotli.BestCompression, LGWin: window})
	if _, err := w.Write(plain); err != nil {
		return err
	}
	return w.Close()
}
