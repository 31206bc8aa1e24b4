// Command wordcount is a module in Go that counts lines, words and bytes of a
// text and lists its most frequent words.
package main

import (
	"bufio"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	inos "inos/sdk/go"
)

// count counts a text.
type count struct {
	Top  int  `json:"top" doc:"How many of the most frequent words to list." default:"10" min:"0" max:"1000"`
	Fold bool `json:"fold" doc:"Take upper and lower case for the same." default:"true"`
}

// maxWords bounds the distinct words that are counted, and so the memory.
const maxWords = 1 << 20

// report is the output, as JSON.
type report struct {
	Lines    int         `json:"lines"`
	Words    int         `json:"words"`
	Bytes    int         `json:"bytes"`
	Distinct int         `json:"distinct"`
	Top      []frequency `json:"top"`
}

type frequency struct {
	Word  string `json:"word"`
	Count int    `json:"count"`
}

// Run implements inos.Runner.
func (p count) Run(call *inos.Call) error {
	if !utf8.Valid(call.Input()) {
		return inos.Errorf(inos.Invalid, "the input is not UTF-8 text; convert it first")
	}
	r := report{Bytes: len(call.Input()), Top: []frequency{}}
	words := map[string]int{}
	in := bufio.NewReaderSize(call.Reader(), 64<<10)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			r.Lines++
		}
		for _, w := range strings.FieldsFunc(line, between) {
			if p.Fold {
				w = strings.ToLower(w)
			}
			r.Words++
			words[w]++
		}
		if len(words) > maxWords {
			return inos.Errorf(inos.Exhausted, "the text has more than a million different words; split it")
		}
		if err != nil { // the end: reading memory fails in no other way
			break
		}
	}
	r.Distinct = len(words)
	for w, n := range words {
		r.Top = append(r.Top, frequency{w, n})
	}
	slices.SortFunc(r.Top, func(a, b frequency) int { // a map's order is not the same twice
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Word, b.Word)
	})
	r.Top = r.Top[:min(p.Top, len(r.Top))]
	return json.NewEncoder(call).Encode(r)
}

func between(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' }

var module = inos.Module{
	Name: "wordcount", Version: "1.0.0", Doc: "Counts words.",
	Units: []inos.Unit{{Name: "text", Doc: "Texts in UTF-8.", Methods: []inos.Method{
		inos.MethodOf[count]("count", "Counts lines, words and bytes and lists the most frequent words.", inos.Reads("text/*"), inos.Writes("application/json")),
	}}},
}

func init() { inos.Serve(&module) }
func main() { inos.Main() }
