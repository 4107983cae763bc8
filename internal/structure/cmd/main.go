// Command structure prints how the packages of the module are put together: see
// package structure. Its arguments are patterns of packages, without any: ./...
package main

import (
	"flag"
	"fmt"
	"os"

	"vaultik/internal/structure"
)

func main() {
	tags := flag.String("tags", "", "build `tags`, as go build takes them")
	details := flag.Bool("details", false, "name what is counted: references that run back up, long functions")
	flag.Parse()
	patterns := flag.Args()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	packages, err := structure.Load(".", *tags, patterns...)
	if err == nil {
		err = structure.WriteTable(os.Stdout, packages)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "structure:", err)
		os.Exit(1)
	}
	if *details {
		structure.WriteDetails(os.Stdout, packages)
	}
}
