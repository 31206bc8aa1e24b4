package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"inos/kernel/api"
)

// kindHelp says what each kind means to whoever reads an exit status.
var kindHelp = map[api.Kind]string{
	api.Other:         "something unclassified went wrong",
	api.Invalid:       "an argument or its data is malformed",
	api.NotFound:      "no such link, file, job, module or node",
	api.Exists:        "it is already there, or already running",
	api.Denied:        "permission is missing",
	api.Unverified:    "a signature, key, token or invite does not verify",
	api.Corrupt:       "bytes do not match their address",
	api.Unavailable:   "no node can be reached for this now",
	api.Timeout:       "a deadline passed",
	api.Canceled:      "interrupted",
	api.Exhausted:     "a limit was reached",
	api.NoSpace:       "a disk or quota is full",
	api.PriceAboveCap: "the quote is above --price-cap",
	api.Unfunded:      "the balance does not cover it",
	api.Trapped:       "the module trapped",
	api.Closed:        "the node is stopping",
	api.Conflict:      "something changed meanwhile; try again",
	api.Unsupported:   "this node or build cannot do that",
}

// exitCodesTopic is `inos help exit-codes`.
func exitCodesTopic() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit status means", Long: exitCodes()}
}

func exitCodes() string {
	var b strings.Builder
	line := func(code int, name, text string) { fmt.Fprintf(&b, "%5d  %-16s %s\n", code, name, text) }
	b.WriteString("The exit status says what kind of error ended a command:\n\n")
	line(0, "ok", "it worked")
	line(api.ExitCode(api.Other), api.Other.String(), kindHelp[api.Other])
	line(exitUsage, "usage", "the command line is wrong")
	for k := api.Invalid; k <= api.Unsupported; k++ {
		line(api.ExitCode(k), k.String(), kindHelp[k])
	}
	line(exitInterrupted, "interrupted", "a second Ctrl-C stopped it at once")
	return strings.TrimRight(b.String(), "\n")
}
