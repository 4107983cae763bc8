// Command treecmp compares two trees of files completely and prints each
// difference on a line of its own. It exits 0 when there is none, 1 when there
// are some, 2 when something could not be read.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"vaultik/internal/treecmp"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	var o treecmp.Options
	fs := flag.NewFlagSet("treecmp", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: treecmp [flags] A B\nkinds of difference: %v\n", treecmp.Kinds)
		fs.PrintDefaults()
	}
	fs.BoolVar(&o.SkipTop, "skip-top", false, "leave out the attributes of A and B themselves")
	fs.IntVar(&o.Workers, "workers", 0, "goroutines that hash, for each side (0: as many as processors)")
	limit := fs.Int("max", 1000, "print at most `N` differences; all are counted")
	ignore := fs.String("ignore", "", "comma-separated `kinds` of difference that do not count")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	for k := range strings.SplitSeq(*ignore, ",") {
		if k == "" {
			continue
		}
		if !slices.Contains(treecmp.Kinds, treecmp.Kind(k)) {
			fmt.Fprintf(os.Stderr, "treecmp: unknown kind %q\n", k)
			return 2
		}
		o.Ignore = append(o.Ignore, treecmp.Kind(k))
	}
	if fs.NArg() != 2 {
		fs.Usage()
		return 2
	}
	r, err := treecmp.Compare(ctx, fs.Arg(0), fs.Arg(1), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "treecmp:", err)
		return 2
	}
	for i, d := range r.Differences {
		if i == *limit {
			fmt.Printf("... and %d more\n", len(r.Differences)-i)
			break
		}
		fmt.Println(d)
	}
	if len(r.Differences) > 0 {
		fmt.Printf("%d differences in %d entries, %d bytes\n", len(r.Differences), r.Entries, r.Bytes)
		return 1
	}
	fmt.Printf("identical: %d entries, %d bytes\n", r.Entries, r.Bytes)
	return 0
}
