// Command oddtree makes a directory that holds each kind of entry and each odd
// value that a backup must bring back. As root it holds more: devices and owners.
package main

import (
	"flag"
	"fmt"
	"os"

	"vaultik/internal/oddtree"
)

func main() {
	var o oddtree.Options
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: oddtree [flags] DIR")
		flag.PrintDefaults()
	}
	flag.BoolVar(&o.Small, "small", false, "leave out files over 5 MiB")
	flag.BoolVar(&o.Deeper, "deeper", false, "also a path longer than 4,096 bytes")
	flag.Uint64Var(&o.Seed, "seed", 1, "of contents and times")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	leftOut, err := oddtree.Make(flag.Arg(0), o)
	for _, what := range leftOut {
		fmt.Fprintln(os.Stderr, "oddtree: left out:", what)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "oddtree:", err)
		os.Exit(1)
	}
}
