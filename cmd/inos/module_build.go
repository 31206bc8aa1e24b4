package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"inos/sdk"
)

func (a *app) moduleNewCmd() *cobra.Command {
	var lang, dir string
	cmd := &cobra.Command{
		Use: "new NAME", Short: "Make a module project with a test, in Rust or Go", Args: cobra.ExactArgs(1),
		Long: `Make a project in a new folder. It carries the SDK's sources, so building it takes the language's
toolchain and no network.`,
		Example: "  inos module new --lang go parrot && cd parrot && go test . && inos module build",
		RunE: func(_ *cobra.Command, args []string) error {
			name := args[0]
			if dir == "" {
				dir = name
			}
			if err := sdk.New(lang, name, dir); err != nil {
				return err
			}
			test := map[string]string{"rust": "cargo test", "go": "go test ."}[lang]
			return a.show(map[string]string{"name": name, "lang": lang, "dir": dir}, func() {
				_, _ = fmt.Fprintf(a.stdout, "made %s\n\nnext:\n  cd %s\n  %s\n  inos module build\n  inos module add %s.wasm\n", dir, dir, test, name)
			})
		},
	}
	cmd.Flags().StringVar(&lang, "lang", "rust", strings.Join(sdk.Languages, " or "))
	cmd.Flags().StringVar(&dir, "dir", "", "the folder to make (default NAME)")
	return cmd
}

func (a *app) moduleBuildCmd() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "build [FOLDER]", Short: "Compile a module project into NAME.wasm", Args: cobra.MaximumNArgs(1),
		Long: `Compile the project in a folder, the current one by default: Rust (Cargo.toml), Go (main.go) or C
(module.json and .c files). The commands are shown as they run. The result is checked as a node would
check it and written to NAME.wasm in that folder.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			b := sdk.Builder{Dir: dir, Out: a.stderr}
			d, wasm, err := b.Build(cmd.Context())
			if err != nil {
				return err
			}
			if out == "" {
				out = filepath.Join(dir, d.Manifest.Name+".wasm")
			}
			if err := replaceFile(out, wasm); err != nil {
				return err
			}
			info := d.Info()
			if !a.json {
				_, _ = fmt.Fprintf(a.stderr, "wrote %s\n", out)
			}
			return a.show(info, func() { a.moduleDetail(info) })
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "the file to write (default FOLDER/NAME.wasm)")
	return cmd
}
